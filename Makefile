# make demo | test | lint | deploy-test | lock | audit | sbom | bench | bench-seen | bench-scrape | chaos | clean
# PYTHON=python3.12 picks another Python, ARGS="-k lease" goes to pytest

PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test lint deploy-test lock audit sbom bench bench-seen bench-scrape chaos clean
.DELETE_ON_ERROR:
# Where it is set, each of the hundreds of processes that tests and demo start would compile gridq anew.
unexport PYTHONDONTWRITEBYTECODE
# Two installs into one .venv at a time would break it, so -j changes nothing here.
.NOTPARALLEL:

# exec puts gridq in the shell's place: make hands a SIGTERM to its own child only, and a shell would keep it.
demo: .venv/demo.stamp
	@exec $(BIN)/gridq demo

# Two processes, a file at a time each: most of a test is the start of workers, which takes one core.
test: lint
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(ARGS)

lint: .venv/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check gridq tests examples benchmarks deploy
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit -q -c pyproject.toml -r gridq 2>.venv/bandit.log || { cat .venv/bandit.log >&2; exit 1; }

# Deployments, on machines, engines and servers of their own; those of the labs in the folder that LAB_SCRIPTS names.
deploy-test: .venv/test.stamp
	$(BIN)/python -m pytest tests/deploy $(ARGS)

# Known weaknesses of what we use; those of our own are for lint. The advisories come from the network, and where nobody
# serves them pip-audit finds nothing wrong with an old pip either: then it is skipped, and said to be.
audit: .venv/dev.stamp
	@if echo 'pip==20.0' | $(BIN)/pip-audit --no-deps --disable-pip --progress-spinner off -r /dev/stdin 2>&1 | grep -qE 'Found [1-9]'; \
	    then $(BIN)/pip-audit --local --skip-editable; \
	    else echo "skipped: pip-audit, since nobody tells advisories here"; fi

# What installing the wheel brings, as CycloneDX: build/gridq.cdx.json.
sbom: .venv/dev.stamp
	@rm -rf build/sbom && $(PYTHON) -m venv build/sbom
	@build/sbom/bin/python -m pip install --quiet --disable-pip-version-check .
	@build/sbom/bin/python -m pip uninstall --quiet --yes --disable-pip-version-check setuptools pip
	$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible -o build/gridq.cdx.json build/sbom/bin/python

bench: .venv/demo.stamp
	@exec $(BIN)/python benchmarks/throughput.py $(ARGS)

# What events, logs, output and samples cost: the same worker with and without them.
bench-seen: .venv/demo.stamp
	@exec $(BIN)/python benchmarks/throughput.py --sides seen unseen $(ARGS)

# What Prometheus waits for: a scrape at 1,000 GPUs and 100,000 task records.
bench-scrape: .venv/test.stamp
	@exec $(BIN)/python benchmarks/scrape.py $(ARGS)

# The long form, 12 minutes: ARGS="--only cable --side gridq --seed 7". As root it plays the cut cables as well.
chaos: .venv/test.stamp
	@exec $(BIN)/python -m tests.chaos $(ARGS)

# What the image and Ansible install, to the byte: pins with hashes for every supported Python and processor.
LOCK = $(BIN)/uv pip compile --quiet --no-config --universal --python-version 3.11 --generate-hashes \
	--upgrade --custom-compile-command "make lock"
lock: .venv/python.stamp
	@$(INSTALL) uv
	$(LOCK) --extra monitor --output-file deploy/requirements.lock pyproject.toml
	$(BIN)/python -c 'import tomllib; \
	    print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
	    | $(LOCK) --output-file deploy/build.lock -

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/python.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "expected Python 3.11 or newer as $(PYTHON), got: $$($(PYTHON) --version 2>&1)" >&2; \
	    echo "hint: make PYTHON=python3.12, or whichever newer one there is" >&2; exit 1; }
	@$(PYTHON) -m venv .venv
	@touch $@

.venv/demo.stamp: .venv/python.stamp pyproject.toml
	@echo "installing gridq into .venv"
	@$(INSTALL) --editable '.[local,examples]'
	@touch $@

# The extra `test` has all that the demo needs.
.venv/test.stamp: .venv/python.stamp pyproject.toml
	@echo "installing gridq and the tools for its tests into .venv"
	@$(INSTALL) --editable '.[test]'
	@touch .venv/demo.stamp $@

.venv/dev.stamp: .venv/test.stamp
	@echo "installing the tools for audits into .venv"
	@$(INSTALL) --editable '.[dev]'
	@touch .venv/demo.stamp .venv/test.stamp $@
