# Two commands for a stranger: `make demo` and `make test`. Everything else is for those who work on facecli.
# Only Python 3.11+ and make are needed; a second run of any target finds its work done.
#
#   make demo PYTHON=python3.13     another interpreter (`make clean` first, if .venv is there)

NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$p" -c '$(NEW_ENOUGH)' 2>/dev/null && { echo "$$p"; break; }; done)
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
READY  := $(VENV)/.ready
ORACLE := $(VENV)/.oracle

.PHONY: help setup models photographs demo test check lint type readme wheel golden fmt test-lowest bench clean
.DELETE_ON_ERROR:

help:            ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 24

setup: $(READY)  ## a virtual environment with facecli and its tools

$(READY): pyproject.toml
	@"$(PYTHON)" -c '$(NEW_ENOUGH)' || { echo "facecli needs Python 3.11 or newer: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@echo "setting up $(VENV)/ (a minute or two, once)"
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || "$(PYTHON)" -m venv --clear $(VENV) || { rm -rf $(VENV); \
		echo "this Python can't make virtual environments; on Debian and Ubuntu: apt install python3-venv" >&2; exit 2; }
	@$(PIP) install --quiet --upgrade "pip>=25.1"
	@$(PIP) install --quiet --editable . --group dev
	@touch $@

$(ORACLE): $(READY)
	@$(PIP) install --quiet --group oracle
	@touch $@

models: $(READY) ## fetch, check and convert the weights of the default models and of the second embedder
	@$(BIN)/facecli models fetch yunet sface dlib

photographs: $(READY)  ## fetch the demo's photographs into .photographs/
	@$(BIN)/python demo/photographs.py .photographs

demo: photographs ## enrol, verify, identify and refuse real people
	@$(BIN)/facecli models fetch yunet sface
	@PATH="$(CURDIR)/$(BIN):$$PATH" demo/demo.sh .photographs

test: $(READY)   ## all tests; those whose weights, photographs or GPU are absent skip, and are counted last
	@$(BIN)/python -m pytest

check: $(ORACLE) models photographs  ## what CI runs: no test on weights or photographs may skip; lint, types, wheel
	@TEST_REQUIRES=weights,photographs $(MAKE) --no-print-directory test
	@$(MAKE) --no-print-directory lint type wheel

lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

type: $(READY)
	@$(BIN)/mypy

readme: models photographs ## run every block of the README, and compare what it prints
	@TEST_REQUIRES=weights,photographs $(BIN)/python -m pytest tests/test_readme.py tests/test_docs.py

wheel: models photographs ## install the wheel with its dependencies into an empty environment, and use it there
	@TEST_WHEEL=installed TEST_REQUIRES=weights,photographs $(BIN)/python -m pytest tests/test_wheel.py

golden: models photographs ## write the README's sessions and docs/cli.md anew from what facecli prints
	@$(BIN)/python tools/make_cli_reference.py
	@TEST_GOLDEN=write $(BIN)/python -m pytest tests/test_readme.py

fmt: $(READY)    ## format, and mend what lint can mend
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

test-lowest: photographs ## all tests with the oldest dependencies that pyproject.toml allows
	@$(BIN)/python tools/lowest_bounds.py build/lowest
	@TEST_REQUIRES=weights,photographs build/lowest/bin/python -m pytest

bench: models photographs ## cold verify and identify against a bare script, and enrolment throughput
	@$(BIN)/python tools/bench.py

clean:           ## remove what was built here (the user's cache of weights stays)
	@rm -rf $(VENV) .photographs build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
