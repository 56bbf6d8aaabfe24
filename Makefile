# Threadkeep. `make` lists what there is. Needs Python 3.11 or newer and make, nothing else.
# Works with GNU make 3.81 (macOS) and later.

PYTHON ?= python3
VENV ?= .venv
# openai 1.20 and the current openai exclude each other, hence a second environment for the v1 tests.
VENV_OPENAI_1_20 ?= $(VENV)-openai-1.20
# The JavaScript client. Where there is no npm, the one test that runs it is left out.
NODE_CLIENT ?= $(VENV)-node
UV_VERSION = 0.13.8

# Passed on only if given, so that THREADKEEP_HOST and THREADKEEP_PORT keep their effect.
SERVE_OPTIONS = $(if $(HOST),--host '$(HOST)') $(if $(PORT),--port '$(PORT)')

# -qq: errors only. The locks pin every package by hash.
PIP_INSTALL = -m pip --disable-pip-version-check install -qq --require-hashes -r
# Makes `import threadkeep` and the command `threadkeep` work from the checkout; fetches nothing.
INSTALL_CHECKOUT = -m pip --disable-pip-version-check install -qq --no-index --no-deps --no-build-isolation -e .

.PHONY: help serve demo test lint format docs bench bench-postgres bench-runs bench-search chaos lock clean
.DEFAULT_GOAL := help

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

serve: $(VENV)/runtime.stamp ## start the server (PORT=8000 HOST=127.0.0.1)
	@exec '$(VENV)/bin/python' -m threadkeep serve $(SERVE_OPTIONS)

demo: $(VENV)/dev.stamp ## see the official client at work against a server of its own
	@'$(VENV)/bin/python' examples/demo.py

test: $(VENV)/dev.stamp $(VENV_OPENAI_1_20)/openai-1.20.stamp $(NODE_CLIENT)/openai.stamp ## run the whole suite (ARGS="-k name")
	@OPENAI_1_20_PYTHON='$(abspath $(VENV_OPENAI_1_20))/bin/python' \
	    OPENAI_NODE='$(abspath $(NODE_CLIENT))' \
	    '$(VENV)/bin/python' -m pytest -n 4 --dist worksteal $(ARGS)

lint: $(VENV)/dev.stamp ## check style, format and types
	'$(VENV)/bin/ruff' check
	'$(VENV)/bin/ruff' format --check
	'$(VENV)/bin/mypy'

format: $(VENV)/dev.stamp ## put the code into the form that lint asks for
	'$(VENV)/bin/ruff' check --fix
	'$(VENV)/bin/ruff' format

docs: $(VENV)/dev.stamp ## write docs/compatibility.md anew from tests/contract
	@'$(VENV)/bin/python' -m tests.contract

bench: $(VENV)/dev.stamp ## measure speed and memory (about five minutes)
	@'$(VENV)/bin/python' -m bench

bench-postgres: $(VENV)/dev.stamp ## the same on PostgreSQL, beside pgbench (SCALE=20000000 also loads so many messages)
	@'$(VENV)/bin/python' -m bench.postgres $(if $(SCALE),--scale '$(SCALE)')

bench-runs: $(VENV)/dev.stamp ## what streamed runs cost, beside a bare proxy
	@'$(VENV)/bin/python' -m bench.runs

bench-search: $(VENV)/dev.stamp ## search and ingestion, in quality and speed (ONLY=quality|speed|ingestion, CHUNKS=1000000)
	$(if $(filter ingestion,$(ONLY)),,@'$(VENV)/bin/python' -m bench.search \
	    $(if $(ONLY),--only '$(ONLY)') $(if $(CHUNKS),--chunks '$(CHUNKS)'))
	$(if $(filter quality speed,$(ONLY)),,@'$(VENV)/bin/python' -m bench.ingestion)

chaos: $(VENV)/dev.stamp ## kill processes and PostgreSQL under load, and look for what was lost (ROUNDS=20)
	@'$(VENV)/bin/python' -m tests.chaos $(if $(ROUNDS),--rounds '$(ROUNDS)')

# Pins that stand stay as they are; `make lock UPGRADE=1` takes the newest versions.
COMPILE = '$(VENV)-lock/bin/uv' pip compile --quiet --no-config --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command 'make lock' $(if $(UPGRADE),--upgrade)
lock: $(VENV)-lock/uv-$(UV_VERSION).stamp ## pin all dependencies anew (UPGRADE=1: the newest)
	$(COMPILE) pyproject.toml --group build -o requirements.txt
	$(COMPILE) pyproject.toml --group dev -c requirements.txt -o requirements-dev.txt
	$(COMPILE) --group openai-1-20 -o requirements-openai-1.20.txt
	@if grep -nE 'https?://|--(extra-)?index' requirements*.txt tests/clients/node/package-lock.json; then \
	    echo 'A lock must not record addresses.'; exit 1; fi

clean: ## remove environments and caches (never ./data)
	rm -rf .venv .venv-* dist build bench/.cache
	rm -f bench/latest.json bench/latest-postgres.json bench/latest-runs.json bench/latest-search.json \
	    bench/latest-ingestion.json
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache .schemathesis
	find . -name .git -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

# Environments. A stamp is newer than its lock when that lock is installed, so a second run starts no pip.

$(VENV)/runtime.stamp: requirements.txt pyproject.toml $(VENV)/bin/python
	@echo 'Installing Threadkeep into $(VENV)'
	@'$(VENV)/bin/python' $(PIP_INSTALL) requirements.txt
	@'$(VENV)/bin/python' $(INSTALL_CHECKOUT)
	@touch '$@'

$(VENV)/dev.stamp: requirements-dev.txt $(VENV)/runtime.stamp
	@echo 'Installing the development tools into $(VENV)'
	@'$(VENV)/bin/python' $(PIP_INSTALL) requirements-dev.txt
	@touch '$@'

$(VENV_OPENAI_1_20)/openai-1.20.stamp: requirements-openai-1.20.txt $(VENV_OPENAI_1_20)/bin/python
	@echo 'Installing openai 1.20 into $(VENV_OPENAI_1_20)'
	@'$(VENV_OPENAI_1_20)/bin/python' $(PIP_INSTALL) requirements-openai-1.20.txt
	@touch '$@'

$(NODE_CLIENT)/openai.stamp: tests/clients/node/package-lock.json
	@if command -v npm >/dev/null; then \
	    echo 'Installing the JavaScript client into $(NODE_CLIENT)' \
	    && mkdir -p '$(NODE_CLIENT)' && cp tests/clients/node/package*.json '$(NODE_CLIENT)' \
	    && npm ci --prefix '$(NODE_CLIENT)' --ignore-scripts --no-audit --no-fund --silent && touch '$@'; \
	else echo 'There is no npm: the test with the JavaScript client is left out.'; fi

$(VENV)-lock/uv-$(UV_VERSION).stamp: $(VENV)-lock/bin/python
	@'$(VENV)-lock/bin/python' -m pip --disable-pip-version-check install -qq 'uv==$(UV_VERSION)'
	@touch '$@'

$(VENV)/bin/python $(VENV_OPENAI_1_20)/bin/python $(VENV)-lock/bin/python:
	@command -v '$(PYTHON)' >/dev/null || { \
	    echo 'There is no $(PYTHON) here. Name a Python 3.11 or newer: make PYTHON=/path/to/python3 ...'; exit 1; }
	@'$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "Threadkeep needs Python 3.11 or newer; $(PYTHON) is `'$(PYTHON)' -V 2>&1`."; \
	    echo 'Name another one: make PYTHON=python3.12 ...'; exit 1; }
	@'$(PYTHON)' -m venv --clear '$(@D:/bin=)' || { rm -rf '$(@D:/bin=)'; exit 1; } # no half-made environment
