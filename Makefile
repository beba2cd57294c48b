# `make up` runs Mintage, `make test` shows that it works; each installs first what is missing.
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help install up demo test check test-long bench bench-peers lock clean

BIN := .venv/bin

help: ## show these targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

install: ## make .venv with the locked dependencies
	@ops/install.sh

up: install ## run everything, on an embedded PostgreSQL; Ctrl-C ends it
	@exec $(BIN)/mintage up

demo: install ## play the whole flow once, on a free port and in a folder of its own
	@exec $(BIN)/mintage demo

check: install ## lint, formatting, types, which package may import which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check ## check, then every test but the long ones
	@ops/browser.sh
	$(BIN)/pytest -m 'not alone' -n 2 --dist loadfile --no-loadscope-reorder
	$(BIN)/pytest -m alone

test-long: bench-peers ## the long tests only; gets what the benchmarks compare with
	$(BIN)/pytest --long

bench: install ## the ledger beside the usual ways, in one interleaved run
	@exec $(BIN)/mintage bench ledger

bench-peers: install ## get what the benchmarks compare with and draw with, from PyPI and npm
	@ops/bench.sh

lock: install ## resolve the dependencies anew (UPGRADE=1: newer versions)
	@ops/lock.sh

clean: ## remove what install and the tools made; data stays
	rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build
