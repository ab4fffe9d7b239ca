PYTHON ?= python3
BIN := .venv/bin
CODE := celltraj tests benchmarks

.PHONY: demo test test-slow tutorials wheel-check

.venv/installed: pyproject.toml .constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -c .constraints.txt -e .
	touch $@

.venv/tested: .venv/installed
	$(BIN)/pip install -q -c .constraints.txt -e ".[test,tutorials,dev]"
	touch $@

demo: .venv/installed
	$(BIN)/celltraj demo --out demo

test: .venv/tested
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/lint-imports
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 -m "not slow"  # two processes of one thread: threads of both would wait

# kills at every operation, coverage of intervals and the like: long, and not part of the above
test-slow: .venv/tested
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 -m slow

# needs CELLTRAJ_DATA_DIR=folder with the data sets; where numba starts more threads than there are
# cores to spare, as scanpy has it do, small operations wait for each other
tutorials: .venv/tested
	mkdir -p build
	for notebook in tutorials/*.ipynb; do \
		OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 $(BIN)/jupyter-execute --output ../build/$$(basename $$notebook) $$notebook || exit 1; done

wheel-check: .venv/tested
	rm -rf dist .venv-wheel
	$(BIN)/python -m build
	$(BIN)/python -m tarfile -l dist/*.tar.gz > dist/sdist.txt
	$(BIN)/python -m zipfile -l dist/*.whl | tail -n +2 > dist/wheel.txt
	! grep -vE '^celltraj(/|-)' dist/wheel.txt
	! grep -vE '^[^/]+/(celltraj/|README.md|LICENSE|CHANGELOG.md|pyproject.toml|PKG-INFO|.gitignore)' dist/sdist.txt
	$(PYTHON) -m venv .venv-wheel
	.venv-wheel/bin/pip install -q -c .constraints.txt dist/*.whl
	cd dist && ../.venv-wheel/bin/python -c "import celltraj; print(celltraj.__version__)"
