# Two commands for a stranger: `make demo` and `make test`. Everything else is for those who work on facecli.
# Only Python 3.11+ and make are needed; a second run of any target finds its work done.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: help setup models photographs demo test lint fmt type readme check bench clean

help:            ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 24

setup: $(READY)  ## a virtual environment with facecli and its tools

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "facecli needs Python 3.11 or newer; set PYTHON=/path/to/python3.11" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group dev
	@touch $@

models: $(READY)  ## fetch, check and convert the default weights (and the second embedder's)
	@$(BIN)/facecli models fetch yunet sface dlib

photographs: $(READY)  ## fetch the demo's photographs into .photographs/
	@$(BIN)/python demo/photographs.py .photographs

demo: $(READY) photographs  ## enrol, verify, identify and refuse real people
	@$(BIN)/facecli models fetch yunet sface
	@PATH="$(CURDIR)/$(BIN):$$PATH" demo/demo.sh .photographs

test: $(READY)  ## all tests; those whose weights, photographs or GPU are absent skip and are counted
	@$(BIN)/python -m pytest

check: $(READY) models photographs  ## what CI runs: tests on real weights, the wheel, lint, types, README
	@FACECLI_TEST_REQUIRES=weights,photographs $(MAKE) --no-print-directory test
	@$(MAKE) --no-print-directory lint type readme

lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

type: $(READY)
	@$(BIN)/mypy

readme: $(READY) models photographs  ## run every block of the README and compare its help texts
	@FACECLI_TEST_REQUIRES=weights,photographs $(BIN)/python -m pytest tests/test_readme.py

fmt: $(READY)    ## format, and mend what lint can mend
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

bench: $(READY) models photographs  ## cold verify and identify against a bare script, and enrolment throughput
	@$(BIN)/python tools/bench.py

clean:           ## remove what was built here (the user's cache of weights stays)
	@rm -rf $(VENV) .photographs build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
