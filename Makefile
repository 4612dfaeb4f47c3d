.DEFAULT_GOAL := help
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
JOBS ?= 2

.PHONY: help
help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# torch goes in first and alone: another package's requirement could pull a different build of it.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Lanner needs Python 3.11 or newer; say which with: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[test]'
	@touch $@

.PHONY: setup
setup: $(STAMP)  ## Make .venv with everything in it

.PHONY: demo
demo: setup  ## Build the quickstart leaderboard: containers where Docker answers, processes where not
	@$(BIN)/lanner demo

.PHONY: format
format: setup  ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: check
check: setup  ## Lint and type-check
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

.PHONY: test
test: setup  ## Unit, contract, hostile-file, container and quickstart tests
	$(BIN)/pytest -n $(JOBS) -m 'not slow and not realdata'

.PHONY: test-all
test-all: setup  ## Everything, the slow and the real-data tests too
	$(BIN)/pytest -n $(JOBS)

.PHONY: test-peers
test-peers: setup  ## Recompute the peers' golden numbers with the peers themselves, in environments of their own
	$(BIN)/python -m benchmarks.peers --check

.PHONY: reference
reference: setup  ## Write the generated pages anew: metric cards, what each dataset can tell
	$(BIN)/lanner metric docs --out docs/reference/metrics
	$(BIN)/lanner leaderboard informative leaderboards/real.yaml --out docs/reference

.PHONY: docs
docs: $(STAMP)  ## Build the pages of docs/ into site/docs, warnings as errors
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[docs]'
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet -b html docs site/docs

.PHONY: test-gpu
test-gpu: setup  ## Compare a GPU's numbers with the CPU's
	$(BIN)/pytest tests/gpu

.PHONY: soak
soak: setup  ## 200 short runs under random kills of harness, containers and engine (root, Docker, about an hour)
	$(BIN)/python -m tests.docker.soak --runs 200

.PHONY: fuzz
fuzz: setup  ## Read 50,000 mutated predictions: none may crash, hang or be accepted wrongly
	$(BIN)/python -m tests.hostile.fuzz --mutations 50000 --jobs $(JOBS)

.PHONY: bench
bench: setup  ## Measure what a run costs the harness, staging, and the metrics beside the peers'
	$(BIN)/python -m benchmarks.harness_overhead
	$(BIN)/python -m benchmarks.staging
	$(BIN)/python -m benchmarks.validation
	$(BIN)/python -m benchmarks.splits
	$(BIN)/python -m benchmarks.engines --runs 9
	$(BIN)/python -m benchmarks.scale --harness --check
	$(BIN)/python -m benchmarks.peers.speed --size S --size M

.PHONY: clean
clean:  ## Remove the virtual environment, caches and built pages (not LANNER_HOME)
	rm -rf $(VENV) site dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
