# Needs Python >= 3.11 with pip, make and git. Everything else is installed into .venv from the lock.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help demo test chaos up check audit sbom bench bench-transfer reference lock clean

help:  ## Show what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

demo: $(VENV)/.runtime  ## Train, fine-tune and batch-score on real data over HTTP, and print the numbers
	$(BIN)/graft demo

test: $(VENV)/.dev  ## Run the whole test suite against real servers
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder --reruns 1 -raR $(PYTEST_ARGS)

chaos: $(VENV)/.dev  ## Inject faults into real processes and servers: the long soak (CI runs the short one in make test)
	CHAOS_SOAK=1 $(BIN)/python -m pytest tests/chaos $(PYTEST_ARGS)

up: $(VENV)/.runtime  ## Run the embedded stack in the foreground
	$(BIN)/graft up

check: $(VENV)/.dev  ## Lint, types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

audit: $(VENV)/.dev  ## Ask PyPI's advisories about every locked version (needs the network; fails without)
	$(BIN)/pip-audit --strict --require-hashes --disable-pip --progress-spinner off -r requirements.txt -r requirements-dev.txt \
	  || { echo "make audit: a locked version has a known flaw, or PyPI could not be asked about every one; see above" >&2; exit 1; }

sbom: $(VENV)/.dev  ## Write sbom.json, the bill of materials of what is installed (CycloneDX)
	$(BIN)/python deploy/sbom.py requirements.txt > sbom.json

bench: $(VENV)/.dev  ## Run the benchmarks side by side with their baselines
	$(BIN)/python -m benchmarks

bench-transfer: $(VENV)/.dev  ## Measure fine-tuning on fourteen shifts (an hour; goes on where it stopped)
	$(BIN)/python -m benchmarks.transfer $(BENCH_ARGS)

reference: $(VENV)/.dev  ## Write the pages of docs/ that are made from the code
	$(BIN)/python -P docs/reference.py

lock:  ## Renew uv.lock and the hashed exports (needs uv)
	uv lock
	uv export --quiet --no-emit-project --no-header --no-annotate --no-default-groups --group install -o requirements.txt
	uv export --quiet --no-emit-project --no-header --no-annotate --no-default-groups --group install --group dev -o requirements-dev.txt

clean:  ## Remove the environment and what tools have cached
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/.runtime: requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Graft needs Python 3.11 or newer, this is " + sys.version)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --require-hashes --no-deps --only-binary :all: -r requirements.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.runtime
	$(PIP) install --require-hashes --no-deps --only-binary :all: -r requirements-dev.txt
	touch $@
