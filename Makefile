# Everything runs from .venv, which is made and kept up to date on demand.
# Needed on the machine: Python 3.11 or newer; for `test` and `check` also Node 18 or newer.

PYTHON ?= $(firstword $(shell command -v python3 python3.14 python3.13 python3.12 python3.11 python 2>/dev/null))
VENV   := .venv
BIN    := $(VENV)/bin
NPM    := tests/interop
PYTEST := $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test lint types check bench changelog-draft containers docs licenses bounds audit sbom clean python-is-new-enough node-is-new-enough

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' $(MAKEFILE_LIST)

setup: $(VENV)/.dev $(NPM)/node_modules/.stamp ## everything that the other targets need

demo: $(VENV)/.run ## a local TaskRouter, three workers and a few dozen tasks, live
	@$(BIN)/python -m examples.demo $(DEMO_ARGS)

test: setup lint types ## what must pass for every change
	@echo "==> tests, two at a time"
	@$(PYTEST) -n 2 --dist worksteal

lint: $(VENV)/.dev
	@echo "==> ruff check"
	@$(BIN)/ruff check .
	@echo "==> ruff format --check"
	@$(BIN)/ruff format --check .

types: $(VENV)/.dev $(NPM)/node_modules/.stamp
	@echo "==> mypy"
	@$(BIN)/mypy
	@echo "==> pyright"
	@$(NPM)/node_modules/.bin/pyright --pythonpath $(BIN)/python

check: setup $(VENV)/.desktop $(VENV)/.browser ## random orders, long properties, windows, the wheel in a fresh environment
	@echo "==> tests in another random order"  # each run of `make test` has one of its own
	@$(PYTEST) -n 2 --dist worksteal -q -p no:cacheprovider
	@echo "==> long property runs"
	@$(PYTEST) -n 2 --dist worksteal -q --hypothesis-profile=long -m hypothesis -o faulthandler_timeout=900
	@echo "==> kill -9 under load, and what was acknowledged"
	@$(BIN)/python -m tests.storage.kill --kills 8 --data sqlite
	@$(BIN)/python -m tests.storage.kill --kills 8 --data postgresql
	@echo "==> a minute of soak with chaos"
	@$(BIN)/python -m tests.soak --seconds 60 --workers 40
	@echo "==> the windows of Qt and Tk"
	@$(PYTEST) -q -m desktop tests/desktop
	@echo "==> the console in Chromium"
	@$(PYTEST) -q -s -m browser tests/browser
	@echo "==> the wheel, installed in a fresh environment"
	@$(BIN)/python tests/wheel_check.py
	@$(MAKE) --no-print-directory containers docs licenses bounds

docs: $(VENV)/.docs ## the documentation site, in build/docs; warnings and broken links are errors
	@echo "==> documentation"
	@$(BIN)/python -m tests.docs.site
	@echo "==> the documentation's commands"
	@$(PYTEST) -q -m docs tests/docs tests/test_example_programs.py

containers: $(VENV)/.containers ## lint Dockerfile, compose.yaml and workflows; do what they do, without an engine
	@echo "==> what runs in containers and in CI"
	@$(BIN)/python -m tests.ways_to_run.lint
	@$(BIN)/python -m tests.ways_to_run.container
	@$(BIN)/python -m tests.ways_to_run.workflows

changelog-draft: $(VENV)/.dev ## the next release's entry, made of the fragments in changes/
	@$(BIN)/towncrier build --draft --version next 2>/dev/null

licenses: $(VENV)/.dev ## fail if something that users install has a licence that is not on the list
	@echo "==> licences"
	@$(BIN)/python -m tests.supply_chain.licenses

bounds: $(VENV)/.dev ## a part of the tests with the lowest and with the newest versions
	@echo "==> lowest and newest versions"
	@$(BIN)/python -m tests.supply_chain.bounds

audit: $(VENV)/.supply ## ask the advisory service about the pinned versions; fails if it cannot be asked
	@$(BIN)/python -m tests.supply_chain.audit

sbom: $(VENV)/.supply ## dist/sbom.json, a CycloneDX bill of materials
	@$(BIN)/python -m tests.supply_chain.sbom

bench: setup ## every figure about speed, beside the official SDK and the bare libraries
	@$(BIN)/python -m benchmarks.suite $(BENCH_ARGS)
	@$(BIN)/python -m benchmarks.stages_client $(STAGES_ARGS)
	@$(BIN)/python -m benchmarks.stages_server $(STAGES_SERVER_ARGS)
	@$(BIN)/python -m benchmarks.routing $(ROUTING_ARGS)
	@$(BIN)/python -m server_stub.testing.timings

clean: ## remove what the other targets made
	rm -rf $(VENV) $(NPM)/node_modules build dist .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis

# --- Environments, made once and again when their inputs change ----------------------------------

$(VENV)/bin/python: | python-is-new-enough
	@echo "==> $(VENV) with $(PYTHON)"
	@"$(PYTHON)" -m venv $(VENV)

$(VENV)/.run: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "==> what the SDK and the server need"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[server]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "==> what the tests need"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[server,dev,examples]'
	@touch $@ $(VENV)/.run

$(VENV)/.desktop: $(VENV)/.dev
	@echo "==> what the tests with windows need"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[desktop-tests]'
	@touch $@

$(VENV)/.docs: $(VENV)/.dev
	@echo "==> what the documentation needs"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	@touch $@

$(VENV)/.containers: $(VENV)/.dev
	@echo "==> what lints containers"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[lint-containers]'
	@touch $@

$(VENV)/.browser: $(VENV)/.dev
	@echo "==> what the tests in a browser need"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[browser-tests]'
	@touch $@

$(VENV)/.supply: $(VENV)/.dev
	@echo "==> what audits and bills of materials need"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[supply-chain]'
	@touch $@

$(NPM)/node_modules/.stamp: $(NPM)/package.json $(NPM)/package-lock.json | node-is-new-enough
	@echo "==> the official JavaScript SDK, the OpenAPI document and pyright"
	@cd $(NPM) && npm ci --silent --ignore-scripts
	@touch $@

python-is-new-enough:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  found=$$("$(PYTHON)" --version 2>/dev/null | head -n 1); \
	  echo "taskrouter-worker needs Python 3.11 or newer; here it is: $${found:-missing}."; \
	  echo "Install one, or name it: make PYTHON=/path/to/python3.11 ..."; exit 1; } >&2
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "'$(PYTHON)' has no venv module (on Debian: apt-get install python3-venv)."; exit 1; } >&2

node-is-new-enough:
	@node -e 'process.exit(+(parseInt(process.versions.node, 10) < 18))' 2>/dev/null && npm --version >/dev/null 2>&1 || { \
	  echo "The tests drive the official JavaScript SDK: they need Node 18 or newer with npm; here it is: $$(node --version 2>/dev/null || echo missing)."; \
	  echo "Install it (https://nodejs.org, or your distribution's nodejs and npm). 'make demo' works without it."; exit 1; } >&2
