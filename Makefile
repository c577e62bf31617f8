# `make` prints this help. Everything is installed into .venv; nothing outside this folder is touched.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Named one by one; none at all is a failure, too.
AGAIN := -vv --last-failed --last-failed-no-failures none
export PATH := $(CURDIR)/$(BIN):$(PATH)

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/run.done ## load a real file through the whole service, embedded, and print its table
	@$(BIN)/datapusher demo

run: $(VENV)/run.done ## gateway, worker and recorder in one go (embedded unless DATAPUSHER_BROKER_URL says otherwise)
	@$(BIN)/datapusher up

test: $(VENV)/dev.done ## every test; RabbitMQ and PostgreSQL are used or started where they can be had
	@$(BIN)/python -m pytest

test-ckan: $(VENV)/dev.done ## a real CKAN, installed from PyPI, in front of the service; writes docs/ckan-tests.md
	@$(BIN)/python -m tests.ckan

test-faults: $(VENV)/dev.done ## kills, outages and lies: what was accepted ends, once (FAULTS_OUTAGE_S=60 for long outages)
	@FAULTS_BOOK=docs/faults-last-run.md $(BIN)/python -m pytest -m faults tests/faults

test-again: $(VENV)/dev.done ## those of `make test` or `make test-faults` that failed last
	@$(BIN)/python -m pytest -m '' $(AGAIN)

test-ckan-again: $(VENV)/dev.done ## those of `make test-ckan` that failed last
	@$(BIN)/python -m tests.ckan $(AGAIN) tests/contract tests/ckan

soak: $(VENV)/dev.done ## load and kills for 10 minutes, then the ledger (SOAK="--minutes 60 --jobs 50000 --broker embedded")
	@$(BIN)/python -m tests.faults.soak $(SOAK)

lint: $(VENV)/dev.done ## ruff, mypy (strict) and the import directions
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q tests/house

docs: $(VENV)/dev.done ## write the generated pages of docs/ anew, and build the site into site/
	@$(BIN)/python -m docs.generator
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

screenshots: $(VENV)/dev.done ## take the pictures of the dashboard anew (needs Chromium)
	@$(BIN)/python docs/screenshots.py

bench: $(VENV)/dev.done ## all benchmarks, as ratios measured side by side; results in bench/results.json and docs/sizing.md
	@$(BIN)/python -m bench
	@$(BIN)/python -m docs.generator

lock: $(VENV)/tools.done ## pin what setup.py asks for, with hashes, in deploy/requirements.lock
	@$(VENV)/tools/bin/uv pip compile setup.py --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-annotate \
		--custom-compile-command "make lock" --output-file deploy/requirements.lock

audit: $(VENV)/tools.done ## look up the pinned packages among known vulnerabilities (needs the network: pypi.org)
	@$(VENV)/tools/bin/pip-audit --requirement deploy/requirements.lock --require-hashes --disable-pip --strict

clean: ## remove everything that make made
	rm -rf $(VENV) build dist site *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis bench/data

# The environment has no pip of its own until python3-venv is there: Debian and Ubuntu package it apart. Where it is
# missing and cannot be installed, virtualenv from PyPI does the same.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Data Pusher needs Python 3.11 or newer; this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@echo "Making $(VENV) …"
	@$(PYTHON) -m venv $(VENV) 2>/dev/null || sh deploy/make-venv.sh $(PYTHON) $(VENV)

$(VENV)/run.done: setup.py schemas/VERSION | $(VENV)/bin/python
	@echo "Installing Data Pusher and what it needs (a minute or two the first time) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/dev.done: setup.py schemas/VERSION | $(VENV)/bin/python
	@echo "Installing Data Pusher and its test tools (a minute or two the first time) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,lint,docs]'
	@touch $@ $(VENV)/run.done

# Tools that are no part of the service, in an environment of their own.
$(VENV)/tools.done: | $(VENV)/bin/python
	@$(PYTHON) -m venv $(VENV)/tools 2>/dev/null || sh deploy/make-venv.sh $(PYTHON) $(VENV)/tools
	@$(VENV)/tools/bin/python -m pip install --quiet --disable-pip-version-check uv pip-audit
	@touch $@

.PHONY: help demo run test test-ckan test-faults test-again test-ckan-again soak lint docs screenshots bench lock audit clean
