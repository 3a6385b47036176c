# Each target sets up what it needs: Python 3.11+ with venv, and make, are enough to start.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Where it is set, each of the thousand processes that the tests start would compile us anew.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 \
	&& command -v $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
INSTALL = -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes
SELF = -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
SOURCES = src tests tools $(wildcard bench examples)

PORT ?= 8080
HOST ?= 127.0.0.1
USAGE ?=
ARGS ?=
CYCLES ?= 200
# Tests wait for disks and deadlines: half as many again as there are cores.
JOBS ?= $(shell echo $$(( $$(nproc) * 3 / 2 )))

.PHONY: help
help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 14

# --- environments ---------------------------------------------------------------------------

define check_python
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer with the venv module is needed" \
	  "(Debian: apt-get install python3 python3-venv), or set PYTHON=/path/to/python3."; exit 1; }
endef

# Debian's pip 23.0 takes a locked package for unlocked where another one names an extra of it.
$(BIN)/python: requirements/pip.txt
	$(check_python)
	test -x $@ || $(PYTHON) -m venv $(VENV)
	$@ $(INSTALL) -r requirements/pip.txt

$(VENV)/.run-ready: requirements/run.txt pyproject.toml | $(BIN)/python
	$(BIN)/python $(INSTALL) -r requirements/run.txt
	$(BIN)/python $(SELF)
	@touch $@

$(VENV)/.dev-ready: requirements/dev.txt pyproject.toml | $(BIN)/python
	$(BIN)/python $(INSTALL) -r requirements/dev.txt
	$(BIN)/python $(SELF)
	@touch $@ $(VENV)/.run-ready

.venv-bench/.ready: requirements/run.txt requirements/prices.txt pyproject.toml
	$(check_python)
	test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python $(INSTALL) -r requirements/pip.txt
	.venv-bench/bin/python $(INSTALL) -r requirements/run.txt
	.venv-bench/bin/python $(INSTALL) -r requirements/prices.txt
	.venv-bench/bin/python $(SELF)
	@touch $@

.PHONY: setup services
setup: $(VENV)/.dev-ready  ## make .venv with everything the gates need

services:  ## start PostgreSQL, MariaDB and Redis for the tests, installing what is absent
	$(check_python)
	$(PYTHON) tools/services.py start >/dev/null

# --- the product ----------------------------------------------------------------------------

.PHONY: run
run: $(VENV)/.run-ready  ## example data (and USAGE=path) in, summary out, server on PORT
	@BIN=$(BIN) HOST=$(HOST) PORT=$(PORT) USAGE='$(USAGE)' bash tools/run_example.sh

# --- the gates ------------------------------------------------------------------------------

.PHONY: lint format types test contract docs chaos audit
lint: $(VENV)/.dev-ready  ## ruff, import contracts, tools/lint
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m tools.lint

format: $(VENV)/.dev-ready  ## rewrite to the house format
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

types: $(VENV)/.dev-ready  ## pyright: strict on src, basic on the rest
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright

test: $(VENV)/.dev-ready services  ## the whole suite in JOBS processes and the coverage gates; ARGS goes to pytest
	rm -f .coverage .coverage.*
	$(BIN)/coverage run -m pytest -n $(JOBS) --maxprocesses 4 --dist worksteal $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --include='src/llm_cost_ops/core/*' --fail-under=100
	$(BIN)/coverage report --include='src/*' --omit='src/llm_cost_ops/core/*' --fail-under=90

contract: $(VENV)/.dev-ready  ## write contract/openapi.json from the app
	$(BIN)/python -m tools.contract

docs: $(VENV)/.dev-ready  ## write the generated reference pages
	set -e; for page in tools/docs/*.py; do $(BIN)/python "$$page"; done

audit: $(VENV)/.dev-ready  ## bandit on src, and known vulnerabilities of the locked packages (needs a network)
	$(BIN)/bandit -q -r src -ll -ii
	$(BIN)/pip-audit --require-hashes --disable-pip -r requirements/run.txt

chaos: $(VENV)/.dev-ready services  ## CYCLES=200 seeded kill -9 cycles on each database
	COST_OPS_CHAOS_CYCLES=$(CYCLES) $(BIN)/pytest -m chaos $(ARGS)

# --- measuring and locking ------------------------------------------------------------------

# Both public books are read at their pinned versions: LiteLLM would otherwise fetch a newer table.
.PHONY: bench prices prices-check lock
bench prices prices-check: export LITELLM_LOCAL_MODEL_COST_MAP := True
bench: .venv-bench/.ready services  ## speed beside its limits and peers, as ratios in one run
	.venv-bench/bin/python -m bench $(ARGS)

prices: .venv-bench/.ready  ## compile the packaged price book; ARGS=--date=YYYY-MM-DD dates it
	.venv-bench/bin/python tools/prices/build.py $(ARGS)

prices-check: .venv-bench/.ready  ## fail when the packaged price book is not what its sources make
	.venv-bench/bin/python tools/prices/build.py --check

# Universal, because Debian's 3.11.2 needs packages that 3.11.7 does not. UPGRADE=1 takes new versions.
LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header $(if $(UPGRADE),--upgrade)
lock: $(VENV)/.dev-ready  ## resolve the locks again from pyproject.toml and requirements/*.in
	$(LOCK) pyproject.toml --all-extras --group dev -o requirements/dev.txt
	$(LOCK) pyproject.toml --all-extras --group build -c requirements/dev.txt -o requirements/run.txt
	$(LOCK) requirements/prices.in -c requirements/dev.txt -o requirements/prices.txt
