# Every target sets up what it needs; `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Twice quiet: pip's errors, and none of its warnings about the machine's own settings.
# Compat (a path, not a hook): a folder named routerlib, such as the clone itself seen from
# the folder above it, would hide the package from Python otherwise.
PIP = $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check
QUICK ?=
FULL ?=

# Small learners on small data: more threads than one only slow each other down.
export OMP_NUM_THREADS ?= 1
export PYTHONUNBUFFERED := 1

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

pipeline: setup ## collect live, train, evaluate, explain; reports/index.html (QUICK=1: the small variant)
	@$(BIN)/routerlib pipeline $(if $(QUICK),--quick)

test: setup ## all tests, with live calls to the smallest local model
	@$(BIN)/python -m pytest -q $(ARGS)

check: setup ## lint, format, types, floors, notebooks without outputs, then the tests
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/nbstripout --verify notebooks/*.ipynb
	@$(BIN)/python -m pytest -q $(ARGS)

lab: setup ## open JupyterLab on the notebooks
	@$(BIN)/jupyter lab notebooks/

bench: setup ## print the benchmark tables, quick variants (FULL=1: all of them, hours)
	@$(BIN)/python benchmarks/bench.py $(if $(FULL),--full)

setup: $(READY) ## make .venv with everything installed

$(READY): requirements.lock pyproject.toml
	@python=$${PYTHON:-}; \
	for name in python3.12 python3.11 python3.13 python3; do \
	    [ -n "$$python" ] && break; \
	    if $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$name; fi; \
	done; \
	[ -n "$$python" ] || { echo "setup needs Python 3.11 or newer; install it or name it: make setup PYTHON=..." >&2; exit 1; }; \
	echo "setting up $(VENV) with $$($$python --version) (about a minute, once)"; \
	$$python -m venv $(VENV) || { echo "setup needs Python's venv module (Debian: apt-get install python3-venv)" >&2; exit 1; }
	@$(PIP) --require-hashes -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation --config-settings editable_mode=compat -e .
	@touch $@

lock: ## pin every package again (needs uv)
	@uv pip compile pyproject.toml --all-extras --generate-hashes --no-emit-index-url \
	    --no-emit-find-links --no-header --no-annotate --universal --python-version 3.11 \
	    -o requirements.lock --quiet

.PHONY: help pipeline test check lab bench setup lock
