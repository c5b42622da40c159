# `make run` and `make test` are all a newcomer needs; every other line here explains itself with `make help`.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PY := .venv/bin/python
MANAGE := $(PY) manage.py
export ARB_DATA_DIR ?= .data

.PHONY: help setup setup-dev run test lint solidity unit bench prove soak lock abi fmt clean

help: ## say what each target does
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/bin/python:
	@command -v python3 >/dev/null || { echo "python3 (3.11 or newer) is missing: install it and run make again"; exit 1; }
	python3 -m venv .venv

.venv/.runtime: requirements.txt | .venv/bin/python
	$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@$(PY) -m prices.warm
	@touch $@

.venv/.dev: requirements-dev.txt .venv/.runtime
	$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

node_modules/.installed: package-lock.json
	@command -v npm >/dev/null || { echo "npm is missing: install Node 20 with npm (the local chain and the browser files come from it), then run make again"; exit 1; }
	npm ci --silent --ignore-scripts
	@touch $@

setup: .venv/.runtime node_modules/.installed ## install what running needs (pinned, hashed)

setup-dev: .venv/.dev node_modules/.installed ## install what the checks need as well

run: setup ## start everything on embedded defaults; Ctrl-C stops it
	@exec $(MANAGE) up

test: setup-dev ## every check: format, lint, types, layers, Solidity, Python, browser
	@$(PY) tools/check.py

lint: setup-dev ## format, lint, types and layers only
	@$(PY) tools/check.py format lint types layers migrations

solidity: setup-dev ## the contracts' own tests
	@$(PY) tools/check.py solidity

unit: setup-dev ## Python tests without the end-to-end and browser ones
	@$(PY) tools/check.py unit

bench: setup-dev ## measure PERF's targets; prints a table and writes bench.json into ARB_DATA_DIR
	@$(PY) -m tests.benchmarks

prove: setup-dev ## the promises in their long form (resumable by part: PART=contracts, seeds, ...)
	@$(PY) tools/prove.py $(PART)

soak: setup-dev ## the whole product for HOURS (default 1), a process killed every minute or two
	@$(PY) tools/soak.py

lock: | .venv/bin/python ## compile requirements*.in to pinned, hashed files
	$(PY) -m pip install --quiet uv
	.venv/bin/uv pip compile --quiet --generate-hashes --no-header --no-annotate --python-version 3.11 requirements.in -o requirements.txt
	.venv/bin/uv pip compile --quiet --generate-hashes --no-header --no-annotate --python-version 3.11 requirements-dev.in -o requirements-dev.txt

abi: setup-dev ## build the contracts and export their ABIs to contracts/abi
	$(PY) tools/export_abi.py

fmt: setup-dev ## format and mend what ruff can mend
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

clean: ## remove what was built, never data
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis contracts/solidity/out contracts/solidity/cache
