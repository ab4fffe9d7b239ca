PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test wheel-check

.venv/installed: pyproject.toml .constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -c .constraints.txt -e .
	touch $@

.venv/tested: .venv/installed
	$(BIN)/pip install -q -c .constraints.txt -e ".[test,dev]"
	touch $@

demo: .venv/installed
	$(BIN)/celltraj demo --out demo

test: .venv/tested
	$(BIN)/ruff check celltraj tests
	$(BIN)/lint-imports
	$(BIN)/pytest

wheel-check: .venv/tested
	rm -rf dist .venv-wheel
	$(BIN)/python -m build --wheel
	$(PYTHON) -m venv .venv-wheel
	.venv-wheel/bin/pip install -q -c .constraints.txt dist/*.whl
	cd dist && ../.venv-wheel/bin/python -c "import celltraj; print(celltraj.__version__)"
