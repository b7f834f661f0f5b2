# Everything a developer does. `make help` lists it; `make check` is what CI runs.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PY     := $(BIN)/python
TOOLS  := .tools
UV     := $(TOOLS)/bin/uv
UV_VERSION := 0.13.8
UV_STAMP := $(TOOLS)/.uv-$(UV_VERSION)
READY  := $(VENV)/.ready

# Options for pytest, as in `make test ARGS="-k embedded"`.
ARGS ?=
# How many tests run side by side; each worker has its own Postgres.
JOBS ?= 2

# How long `make soak` goes on, and its seed; none is a new one each time.
SECONDS ?= 300
SEED ?=

# An active virtual environment of somebody else must not receive our packages.
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Installed files need no link to uv's cache: copying works on every file system.
export UV_LINK_MODE := copy

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

.PHONY: help
help: ## list these targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# ---- environment -------------------------------------------------------------------------------------------------

.PHONY: setup
setup: $(READY) ## make .venv with the locked dependencies and this project

$(UV_STAMP):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Imprest needs Python 3.11 or newer, and \`$(PYTHON)\` is not one: name one with  make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "\`$(PYTHON)\` cannot make virtual environments: install its venv package (Debian, Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@echo "setup: uv $(UV_VERSION) into $(TOOLS)"
	@$(PYTHON) -m venv --clear $(TOOLS)
	@$(TOOLS)/bin/python -m pip install --quiet uv==$(UV_VERSION)
	@touch $@

$(READY): requirements.lock pyproject.toml $(UV_STAMP)
	@echo "setup: locked dependencies into $(VENV)"
	@$(UV) venv --quiet --allow-existing --no-project --python $(TOOLS)/bin/python $(VENV)
	@$(UV) pip sync --quiet --require-hashes --python $(PY) requirements.lock
	@$(UV) pip install --quiet --no-deps --no-build-isolation --python $(PY) --editable .
	@$(UV) pip check --quiet --python $(PY)
	@touch $@

.PHONY: lock
lock: $(UV_STAMP) ## bring requirements.lock in step with pyproject.toml; newest versions with UPGRADE=1
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --custom-compile-command "make lock" $(if $(UPGRADE),--upgrade) \
	  --extra server --group dev --output-file requirements.lock pyproject.toml

# ---- run ---------------------------------------------------------------------------------------------------------

.PHONY: demo
demo: $(READY) ## live through 3,000 calls on a server of its own, then check its books
	@$(PY) examples/demo.py

.PHONY: serve
serve: $(READY) ## run the server with its own Postgres (or IMPREST_DATABASE_URL's)
	@$(BIN)/imprest serve

.PHONY: bench
bench: $(READY) ## measure speed and cost, one table; ARGS="--help" tells more
	@$(PY) -m benchmarks $(ARGS)

# ---- check -------------------------------------------------------------------------------------------------------

.PHONY: check
check: static test ## all that CI runs: lint, format, types, imports, protos, tests

.PHONY: static
static: lint format-check types imports proto-check ## the checks that need no tests to run

.PHONY: test
test: $(READY) ## run the tests; ARGS="-k word" and JOBS=1 are passed on
	@$(PY) -m pytest -n $(JOBS) $(ARGS)

.PHONY: soak
soak: $(READY) ## kill and cut everything under load; SECONDS=300 and SEED=word are passed on
	@GRPC_ENABLE_FORK_SUPPORT=0 $(PY) -W error -m tests.crash.soak --seconds $(SECONDS) --seed "$(SEED)"

.PHONY: soak-alerts
soak-alerts: $(READY) ## 1,000 readers of alerts while server and database are killed; ARGS="--help" tells more
	@GRPC_ENABLE_FORK_SUPPORT=0 $(PY) -W error -m tests.crash.subscribers $(ARGS)

.PHONY: beside
beside: $(READY) ## install the client beside LiveKit Agents and Pipecat and make a call (big downloads)
	@$(PY) -m tests.beside $(ARGS)

.PHONY: lint
lint: $(READY) ## lint the Python code
	@$(BIN)/ruff check --quiet

.PHONY: format
format: $(READY) ## format Python and protos, and mend what the linter can
	@$(BIN)/ruff check --quiet --fix-only
	@$(BIN)/ruff format --quiet
	@$(PY) proto/tools.py format

.PHONY: format-check
format-check: $(READY)
	@$(BIN)/ruff format --quiet --diff

.PHONY: types
types: $(READY) ## check types (strict)
	@$(BIN)/mypy --no-error-summary

.PHONY: imports
imports: $(READY) ## check that dependencies between modules point one way
	@$(BIN)/lint-imports --no-logo --cache-dir .cache/import-linter

# ---- protos ------------------------------------------------------------------------------------------------------

.PHONY: proto
proto: $(READY) ## regenerate the stubs in proto/gen
	@$(PY) proto/tools.py generate

.PHONY: proto-check
proto-check: $(READY) ## lint protos; check format, compatibility and that the stubs are current
	@$(PY) proto/tools.py check

# ---- tidy --------------------------------------------------------------------------------------------------------

.PHONY: clean
clean: ## remove environments, caches and build results
	@rm -rf $(VENV) $(TOOLS) .cache .hypothesis build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
