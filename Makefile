# Everything a developer or CI runs. `make setup` happens by itself: each target installs what it needs, once per lock file.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENUE ?=
ARGS ?=

BIN := .venv/bin
FORGE := forge
APE := $(BIN)/ape
PY := $(BIN)/python
PYTEST := $(PY) -m pytest

# Tools come from the project's own folders, and so do their data: nothing is read from or written to ~/.ape or ~/.solcx.
export PATH := $(CURDIR)/$(BIN):$(CURDIR)/node_modules/.bin:$(PATH)
export APE_DATA_FOLDER := $(CURDIR)/.ape
export SOLCX_BINARY_PATH := $(CURDIR)/.solc/front
export MPLBACKEND := Agg
export MPLCONFIGDIR := $(CURDIR)/.cache/matplotlib
export FOUNDRY_DISABLE_NIGHTLY_WARNING := 1

SOLIDITY := $(wildcard contracts interfaces forge)
# Of the tests, the longest first.
PARTS := whole contracts rest keeper solidity
PYTHON_CODE := $(wildcard bench bots demo devnet leverage scripts tests tools)

say = @printf '\033[1m▸ %s\033[0m\n' "$(1)"

.PHONY: help setup redis build check format test $(PARTS:%=test-%) fast deep bench history devnet demo shell lock clean distclean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

# ----------------------------------------------------------------------------------------------------- set-up

setup: .solc/.stamp ## Install the tools from the lock files (other targets do it for you)

.venv/.stamp: requirements.boot.lock requirements.lock
	$(call say,Python packages → .venv)
	@test -x $(PY) || $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one with make PYTHON=...")'
	@test -x $(PY) || $(PYTHON) -m venv .venv || { rm -rf .venv; echo "No virtual environment could be made: on Debian, install python3-venv"; exit 1; }
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.boot.lock
	@$(BIN)/uv pip sync --quiet --python $(PY) --require-hashes requirements.lock
	@touch $@

node_modules/.stamp: package.json package-lock.json .npmrc
	$(call say,npm packages → node_modules)
	@npm ci --no-fund --no-audit --loglevel=error
	@touch $@

.solc/.stamp: .venv/.stamp node_modules/.stamp tools/solc.py bin/solc
	$(call say,Solidity compiler → .solc)
	@$(PY) tools/solc.py
	@command -v forge anvil cast >/dev/null || { echo "forge, anvil and cast: npm has them for Linux x64; elsewhere install Foundry yourself"; exit 1; }
	@touch $@

# No server is started: the tests start their own on a free port.
redis: ## Redis for the tests of the keeper's cluster, where apt-get has it and you may
	@command -v redis-server >/dev/null || tools/redis.sh

lock: .venv/.stamp ## Resolve requirements.in and package.json into the lock files again
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url requirements.in -o requirements.lock
	npm install --package-lock-only --loglevel=error

# ----------------------------------------------------------------------------------------------------- build

build: .solc/.stamp ## Compile with forge and hand the result to Ape
	$(call say,Compile)
	@$(FORGE) build --skip 'forge/**'
	@$(PY) tools/forge2ape.py

# ----------------------------------------------------------------------------------------------------- checks and tests

check: .solc/.stamp ## Formatting, lint, types and architecture
	$(call say,Format)
	@$(if $(SOLIDITY),$(FORGE) fmt --check $(SOLIDITY))
	@$(BIN)/ruff format --check $(PYTHON_CODE)
	$(call say,Lint)
	@$(BIN)/ruff check $(PYTHON_CODE)
	$(call say,Types)
	@$(BIN)/mypy --strict leverage
	$(call say,Architecture)
	@$(PYTEST) -q -p no:ape_test tests/test_architecture.py

format: .solc/.stamp ## Format Solidity and Python in place
	@$(if $(SOLIDITY),$(FORGE) fmt $(SOLIDITY))
	@$(BIN)/ruff format $(PYTHON_CODE)
	@$(BIN)/ruff check --fix $(PYTHON_CODE)

test: build redis ## All tests, three parts at a time
	@$(MAKE) -j3 $(PARTS:%=test-%)

# Tests of the contracts run on a chain that Ape starts; the others start their own, and are no business of its plugin.
ON_APE := $(wildcard tests/test_*.py tests/unit tests/pure)
WHOLE := tests/e2e
KEEPER := $(wildcard tests/faults tests/service tests/cluster)
REST := $(filter-out $(ON_APE) $(WHOLE) $(KEEPER) tests/__pycache__,$(patsubst %/,%,$(wildcard tests/*/)))

# Lines of the parts that run beside each other begin with their name. With ARGS a part may have nothing to do (5).
told = 2>&1 | sed -u 's/^/$(1) | /'
pytest = @($(PYTEST) $(1) $(ARGS) || { code=$$?; test -n "$(ARGS)" -a $$code = 5 || exit $$code; }) $(call told,$(2))

test-contracts: build
	$(call pytest,$(ON_APE),contracts)

test-whole: build
	$(call pytest,-p no:ape_test $(WHOLE),whole    )

test-keeper: build redis
	$(call pytest,-p no:ape_test $(KEEPER),keeper   )

test-rest: build
	$(call pytest,-p no:ape_test $(REST),rest     )

test-solidity: build
	@$(if $(wildcard forge),$(FORGE) test --fuzz-seed 1 $(call told,solidity ))

fast: .solc/.stamp ## Lint, types and the tests that need no chain (seconds)
	@$(BIN)/ruff check $(PYTHON_CODE)
	@$(BIN)/mypy --strict leverage
	@$(PYTEST) -q -p no:ape_test tests/test_architecture.py $(wildcard tests/pure) $(ARGS)

deep: build ## A long random search: fuzz and invariants with many runs and a new seed
	@FOUNDRY_PROFILE=deep $(FORGE) test

# ----------------------------------------------------------------------------------------------------- run

bench: build ## Measure gas and write build/bench.json
	@mkdir -p build
	@$(APE) run bench $(ARGS)

history: .venv/.stamp ## Write docs/history.md from the market data in ../shared/data
	@$(APE) run history

devnet: build ## A local chain with a venue, the protocol and funded accounts
	@$(APE) run devnet $(if $(VENUE),--venue $(VENUE)) $(ARGS)

demo: build ## The whole story on a local chain; choose with VENUE=...
	@$(APE) run demo $(if $(VENUE),--venue $(VENUE)) $(ARGS)

shell: .solc/.stamp ## A shell in which ape, forge, anvil and cast are the project's own
	@exec $${SHELL:-bash} -i

clean: ## Remove what was built
	rm -rf out cache .build .cache build .pytest_cache .mypy_cache .ruff_cache .hypothesis

distclean: clean ## Remove what was installed, too (not .ape, where accounts may be)
	rm -rf .venv node_modules .solc
