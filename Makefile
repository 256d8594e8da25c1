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
# The versions that every package has wheels for; said in pyproject.toml too.
FITS = import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
QUICK ?=
FULL ?=

# Small learners on small data: more threads than one only slow each other down.
export OMP_NUM_THREADS ?= 1
export PYTHONUNBUFFERED := 1

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

pipeline: setup ## collect live, train, evaluate, explain; reports/index.html (QUICK=1: the small variant)
	@$(BIN)/routerlib pipeline $(if $(QUICK),--quick)

test: setup $(if $(ARGS),,lint) ## the gate: lint, then all tests, live calls to a local model too (ARGS=tests/log: only those)
	@$(BIN)/python -m pytest -q $(ARGS)

lint: setup ## style, format, types, floors, notebooks without outputs
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/nbstripout --verify notebooks/*.ipynb

check: lint test ## the same as test; with ARGS, lint and those tests

lab: setup ## open JupyterLab on the notebooks
	@$(BIN)/jupyter lab notebooks/

bench: setup ## print the benchmark tables, quick variants (FULL=1: all of them, hours)
	@$(BIN)/python benchmarks/bench.py $(if $(FULL),--full)

cluster-demo: setup ## train and estimate on a scheduler and two workers of this machine; ends by itself
	@$(BIN)/python benchmarks/cluster.py --demo

setup: $(READY) ## make .venv with everything installed

$(READY): requirements.lock pyproject.toml
	@python=$${PYTHON:-}; \
	for name in python3.12 python3.11 python3.13 python3; do \
	    [ -n "$$python" ] && break; \
	    if $$name -c '$(FITS)' 2>/dev/null; then python=$$name; fi; \
	done; \
	[ -n "$$python" ] && $$python -c '$(FITS)' || { \
	    echo "setup needs Python 3.11, 3.12 or 3.13, got $$($${python:-python3} --version 2>&1);" \
	        "install one of them or name it: make setup PYTHON=python3.12" >&2; exit 1; }; \
	echo "setting up $(VENV) with $$($$python --version) (about a minute, once)"; \
	$$python -m venv $(VENV) || { echo "setup needs Python's venv module (Debian: apt-get install python3-venv)" >&2; exit 1; }
	@$(PIP) --require-hashes -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation --config-settings editable_mode=compat -e .
	@touch $@

lock: ## pin every package again (needs uv)
	@uv pip compile pyproject.toml --all-extras --generate-hashes --no-emit-index-url \
	    --no-emit-find-links --no-header --no-annotate --universal --python-version 3.11 \
	    -o requirements.lock --quiet

.PHONY: help pipeline test lint check lab bench cluster-demo setup lock
