# The only commands that people and CI use. Each does its own set-up in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip --disable-pip-version-check --quiet install --constraint constraints.txt
PYTEST_ARGS ?=
BENCH_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test check soak bench docs .venv clean

help: ## says what each target does
	@awk -F ':.*## ' '/^[a-z.]+:.*## / {printf "make %-7s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/run.stamp ## the service and a fake OFAuth, wired together; ONCE=1 runs the script and ends
	$(BIN)/connection-ledger demo $(if $(filter-out 0,$(ONCE)),--once)

test: $(VENV)/dev.stamp ## every test but the long ones; PYTEST_ARGS="-n0 -k fold" chooses
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal $(PYTEST_ARGS)

check: $(VENV)/dev.stamp ## format, lint, types, layers, documentation
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m pytest --quiet tests/docs tests/architecture

soak: $(VENV)/dev.stamp ## the long tests
	$(BIN)/python -m pytest -m soak --timeout=3600 $(PYTEST_ARGS)

bench: $(VENV)/bench.stamp ## the speed measurements; BENCH_ARGS="ingest --quick" chooses
	$(BIN)/python -m tests.benchmarks $(BENCH_ARGS)

docs: $(VENV)/dev.stamp ## the reference, from the code; the documentation as web pages in build/docs
	$(BIN)/python -m docs.generator
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs build/docs
	@echo 'open build/docs/index.html'

.venv: $(VENV)/dev.stamp ## the virtual environment with everything in it

clean: ## removes the virtual environment and every cache
	rm -rf $(VENV) build .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP_INSTALL) --editable .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp
	$(PIP_INSTALL) --editable '.[test,check]'
	@touch $@

$(VENV)/bench.stamp: $(VENV)/run.stamp
	$(PIP_INSTALL) --editable '.[bench]'
	@touch $@
