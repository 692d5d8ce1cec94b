# Every target makes what it needs in .venv and is quick when that is there already.

VENV := .venv
BIN := $(VENV)/bin
# The first Python that is new enough.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11 python3.10 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo $$python && break; done)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
PYTEST_OPTIONS ?=
# Tests that measure time may fail on a busy machine: what failed is run once more, one by one, and must pass then.
AGAIN := --last-failed --last-failed-no-failures none -n 0

.PHONY: help demo test test-all lint format bench docs clean

help:
	@echo 'make demo      run examples/ under load, traced and profiled, lint it, and join all on one page'
	@echo 'make test      run the tests (on CI on every CPython from 3.10 to 3.14 that is found)'
	@echo 'make test-all  run the tests on every CPython from 3.10 to 3.14 that is found'
	@echo 'make lint      ruff, mypy, pyright, import contracts, generated files'
	@echo 'make format    let ruff correct and format the code'
	@echo 'make docs      write the generated pages again'
	@echo 'make bench     measure speed and accuracy on pinned packages (downloads them)'
	@echo 'make clean     delete environments and caches'

demo: $(VENV)/.with-demo
	$(BIN)/agentperf-lint trace -o shop.trace -- $(BIN)/python examples/load.py 2
	$(BIN)/agentperf-lint report examples/ --trace shop.trace --profile shop.profile --load shop.load --format html -o shop.html --exit-zero
	@$(BIN)/agentperf-lint report examples/ --trace shop.trace --profile shop.profile --load shop.load --exit-zero --top 5
	@echo
	@echo 'The whole checklist is in $(CURDIR)/shop.html'

test: $(if $(CI),test-others) $(VENV)/.with-test
	$(BIN)/python -m pytest -n auto --cov --cov-report=term $(PYTEST_OPTIONS) || $(BIN)/python -m pytest $(AGAIN)

test-all: test-others
	@$(MAKE) --no-print-directory CI= test

.PHONY: test-others
test-others: $(VENV)/.with-test
	@AGAIN='$(AGAIN)' .ci/test-others $(BIN)/python $(PYTEST_OPTIONS)

lint: $(VENV)/.with-lint
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports
	$(BIN)/python docs/generate_rules.py --check
	$(BIN)/python docs/generate_schema.py --check

format: $(VENV)/.with-lint
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(VENV)/.with-run
	$(BIN)/python docs/generate_rules.py
	$(BIN)/python docs/generate_schema.py

bench: $(VENV)/.with-bench
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) .venv-* shop.trace* shop.profile shop.load shop.html .agentperf_cache .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .coverage*

$(BIN)/python:
	@test -n '$(PYTHON)' || { echo 'Python 3.10 or newer is needed, on the PATH or as PYTHON=...' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.with-run: pyproject.toml | $(BIN)/python
	$(PIP) -e .
	@touch $@

$(VENV)/.with-bench: pyproject.toml | $(BIN)/python
	$(PIP) -e '.[bench]'
	@touch $@ $(VENV)/.with-run

$(VENV)/.with-demo: pyproject.toml | $(BIN)/python
	$(PIP) -e '.[demo]'
	@touch $@ $(VENV)/.with-run

$(VENV)/.with-test: pyproject.toml | $(BIN)/python
	$(PIP) -e '.[test]'
	@touch $@ $(VENV)/.with-run $(VENV)/.with-demo

$(VENV)/.with-lint: pyproject.toml | $(BIN)/python
	$(PIP) -e '.[lint]'
	@touch $@ $(VENV)/.with-run $(VENV)/.with-demo $(VENV)/.with-test
