# Every target sets up what it needs itself: a virtual environment with pinned, hash-checked packages, made once and
# made again when the pins change. Nothing is installed outside this directory.

VENV := .venv
BIN := $(VENV)/bin
SETUP := $(VENV)/.setup-done
DOCS_SETUP := $(VENV)/.docs-setup-done
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)

# What to add to the command of a target: make run ARGS="--port 4567", make test ARGS="-k fifo"
ARGS ?=
WORKERS ?= auto

LOCK := --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate

.PHONY: setup run test test-cluster test-faults lint bench bench-peers
.PHONY: example example-fanout example-clickstream docs compat lock clean help

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-19s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(SETUP)  ## Make the virtual environment

$(SETUP): requirements/dev.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "Headrace needs Python 3.11 or newer: install it, or name it with make PYTHON=..."; exit 1; }
	@echo "Setting up $(VENV) with $$($(PYTHON) --version) (once; takes a minute)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "Could not make a virtual environment: on Debian and Ubuntu, apt-get install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(DOCS_SETUP): requirements/docs.txt $(SETUP)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/docs.txt
	@touch $@

run: $(SETUP)  ## Serve on http://127.0.0.1:4566, data in ./headrace-data
	@exec $(BIN)/headrace serve $(ARGS)

test: $(SETUP)  ## Run the whole test suite
	@$(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

ROUNDS ?= 1
SEED ?= 1

test-faults: $(SETUP)  ## The cluster's failure test in full: each fault to each member, for about half an hour a round
	@HEADRACE_CLUSTER_ROUNDS=$(ROUNDS) HEADRACE_CLUSTER_SEED=$(SEED) $(BIN)/python -m pytest -n 0 -s tests/crash/test_cluster_faults.py $(ARGS)

test-cluster: $(SETUP)  ## Run what tests the cluster engine: all SDK tests and simulations on it, the contract on three servers
	@HEADRACE_TEST_ENGINE=nats $(BIN)/python -m pytest -n $(WORKERS) tests/sdk tests/simulation tests/unit/engines/nats $(ARGS)
	@HEADRACE_TEST_CLUSTER=1 $(BIN)/python -m pytest -n $(WORKERS) tests/contract tests/cluster tests/crash \
		-k "nats or cluster" $(ARGS)

lint: $(SETUP)  ## Check style and types
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@cd bench && ../$(BIN)/mypy --config-file ../pyproject.toml --disable-error-code misc *.py
	@cd examples/order_buffer && ../../$(BIN)/mypy --config-file ../../pyproject.toml *.py
	@cd examples/order_fanout && MYPYPATH=../order_buffer ../../$(BIN)/mypy --config-file ../../pyproject.toml *.py
	@cd examples/clickstream && MYPYPATH=../order_buffer ../../$(BIN)/mypy --config-file ../../pyproject.toml *.py

bench: $(SETUP)  ## Measure Headrace on this machine, beside the floor
	@$(BIN)/python bench/run.py $(ARGS)

bench-peers: $(SETUP)  ## The same scenarios against other servers
	@$(BIN)/python bench/peers.py $(ARGS)

example: $(SETUP)  ## Run the spike buffer: a year of flights, a slow database, killed consumers
	@$(BIN)/python examples/order_buffer/run.py $(ARGS)

example-fanout: $(SETUP)  ## Publish each order once: queues, e-mail and HTTP, each with its filter
	@$(BIN)/python examples/order_fanout/run.py $(ARGS)

example-clickstream: $(SETUP)  ## A stream of events, resharded while six consumers read it, two of them pushed to
	@$(BIN)/python examples/clickstream/run.py $(ARGS)

docs: $(DOCS_SETUP)  ## Build the documentation into site/; warnings are errors
	@$(BIN)/mkdocs build --quiet --strict
	@echo "The documentation is in site/index.html"

compat: $(SETUP)  ## Drive a server with the SDKs for Go and Java, and as Terraform does
	@$(BIN)/python tests/compat/run.py $(ARGS)

lock: $(SETUP)  ## Pin the newest versions that pyproject.toml allows
	@$(BIN)/uv pip compile pyproject.toml $(LOCK) --output-file requirements/runtime.txt
	@$(BIN)/uv pip compile pyproject.toml $(LOCK) --extra testing --extra nats --group dev --constraint requirements/runtime.txt \
		--output-file requirements/dev.txt
	@$(BIN)/uv pip compile $(LOCK) --group docs --constraint requirements/dev.txt --output-file requirements/docs.txt
	@for name in awscli celery query; do \
		$(BIN)/uv pip compile tests/sdk/runtimes/$$name.in $(LOCK) --output-file tests/sdk/runtimes/$$name.txt || exit 1; done

clean:  ## Remove what was built; data and the virtual environment stay
	@rm -rf build dist site .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis
