PYTHON ?= python3
# an environment for each interpreter: make test PYTHON=python3.12 builds .venv-python3.12
VENV := .venv$(if $(filter-out python3,$(PYTHON)),-$(notdir $(PYTHON)))
BIN := $(VENV)/bin
CODE := celltraj tests benchmarks
# two processes of one thread, as threads of both would wait for each other; worksteal leaves the
# tests of a file together, so that what a file shares is made once
# memory that is freed is kept for the next tensor: glibc gives it back and asks for it anew, page by
# page, at every operation (a tenth of the time of small fits)
MALLOC := MALLOC_TRIM_THRESHOLD_=268435456 MALLOC_MMAP_THRESHOLD_=268435456
PYTEST := OMP_NUM_THREADS=1 $(MALLOC) $(BIN)/pytest -n 2 --dist worksteal
# shapes are checked at every call where the tests are those of the core; elsewhere the same calls
# would be checked once more, for as much time again as they take
CORE := tests/models tests/ot tests/metrics tests/contracts tests/test_snapshots.py
SHAPES := --jaxtyping-packages=celltraj.ot,celltraj.models,celltraj.metrics,celltraj.snapshots,typechecker.check

.PHONY: check demo docs lint test test-fast test-slow tutorials wheel-check

# the linter alone, so that a missing comma is told before a gigabyte is installed
$(VENV)/linter: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q "$$(grep -o 'ruff>=[0-9.]*' pyproject.toml)"
	touch $@

$(VENV)/installed: pyproject.toml .constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -c .constraints.txt -e .
	touch $@

$(VENV)/tested: $(VENV)/installed
	$(BIN)/pip install -q -c .constraints.txt -e ".[test,tutorials,dev]"
	touch $@

$(VENV)/documented: $(VENV)/installed
	$(BIN)/pip install -q -c .constraints.txt -e ".[docs]"
	touch $@

demo: $(VENV)/installed
	$(BIN)/celltraj demo --out demo

lint: $(VENV)/linter
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)

# in the order of cost: seconds, then half a minute, then minutes
check: lint $(VENV)/tested
	$(BIN)/lint-imports
	$(BIN)/mypy

test-fast: $(VENV)/tested
	$(PYTEST) -m "not slow" $(SHAPES) $(CORE)
	$(PYTEST) -m "not slow" $(addprefix --ignore=,$(CORE))

test:
	$(MAKE) check
	$(MAKE) test-fast

# kills at every operation, coverage of intervals and the like: long, and not part of the above
test-slow: $(VENV)/tested
	$(PYTEST) -m slow $(SHAPES)

# downloads the data sets that CELLTRAJ_DATA_DIR=folder does not hold; where numba starts more threads
# than there are cores to spare, as scanpy has it do, small operations wait for each other
tutorials: $(VENV)/tested
	mkdir -p build
	printf '%s\n' tutorials/*.ipynb | OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 xargs -P 2 -I {} sh -c \
		'$(BIN)/jupyter-execute --output ../build/$$(basename {}) {} || exit 255'
	$(BIN)/python tutorials/compare.py tutorials build

# every warning is an error, and so is a reference to nothing; notebooks are shown as they were executed
docs: $(VENV)/documented
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

wheel-check: $(VENV)/tested
	rm -rf dist .venv-wheel
	$(BIN)/python -m build
	$(BIN)/python -m tarfile -l dist/*.tar.gz > dist/sdist.txt
	$(BIN)/python -m zipfile -l dist/*.whl | tail -n +2 > dist/wheel.txt
	! grep -vE '^celltraj(/|[a-z_]*-)' dist/wheel.txt
	grep -q '^celltraj/py.typed ' dist/wheel.txt
	! grep -vE '^[^/]+/(celltraj/|README.md|LICENSE|CHANGELOG.md|pyproject.toml|PKG-INFO|.gitignore)' dist/sdist.txt
	$(PYTHON) -m venv .venv-wheel
	.venv-wheel/bin/pip install -q -c .constraints.txt dist/*.whl
	cd dist && ../.venv-wheel/bin/python -c "import celltraj; print(celltraj.__version__)"
