# Python 3.11 to 3.14; another one than python3: make test PYTHON=python3.12
PYTHON ?= python3
# Of the tests. They wait more than they compute: this many keep two cores busy.
PROCESSES ?= 3

BIN := .venv/bin
INSTALLED := .venv/.installed
TYPED := polos $(wildcard tests/typing)

unexport PYTHONHOME PYTHONPATH
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore

.PHONY: test chaos boundaries programs demo screenshots bench lint ruff mypy pyright floors install clean

# Part of them: make test ARGS="tests/unit -k lease"
test: $(INSTALLED)
	$(BIN)/pytest -n $(PROCESSES) $(ARGS)

# A crash at every boundary; `test` tries a slice of them.
boundaries: $(INSTALLED)
	BOUNDARIES=all $(BIN)/pytest -n 2 tests/boundaries $(ARGS)

# Random programs, other ones each time: make programs EXAMPLES=5000
programs: $(INSTALLED)
	EXAMPLES=$(or $(EXAMPLES),1000) $(BIN)/pytest -n 2 --timeout 0 tests/programs/test_programs.py $(ARGS)

demo: $(INSTALLED)
	cd examples/workflow_basics && ../../$(BIN)/python demo.py

# The pictures in docs/screenshots; each run of the browser tests leaves its own in .screenshots.
screenshots: $(INSTALLED)
	$(BIN)/python -m tests.browser.photos

# Each can be run alone; make -k lint goes on after one that fails.
lint: ruff mypy pyright floors

ruff: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

mypy: $(INSTALLED)
	$(BIN)/mypy $(TYPED)

pyright: $(INSTALLED)
	$(BIN)/pyright --pythonpath $(BIN)/python $(TYPED)

floors: $(INSTALLED)
	$(BIN)/lint-imports

# Every measurement, or some: make bench ARGS="contest --rounds 5"; ARGS=--smoke only tries the programs.
bench: $(INSTALLED)
	$(BIN)/python -m benchmarks $(ARGS)

# Kills, outages and lost messages for SECONDS; SETUP: servers, embedded, rabbitmq or all.
chaos: SECONDS = 600
chaos: SETUP = all
chaos: $(INSTALLED)
	$(BIN)/python -m tests.chaos --seconds $(SECONDS) --setup $(SETUP) $(if $(SEED),--seed $(SEED))

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' || { \
	  echo "polos needs Python 3.11 to 3.14, and '$(PYTHON)' is none. Name one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; \
	  exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv --clear .venv || { \
	  echo "'$(PYTHON) -m venv' failed. On Debian and Ubuntu it comes with: apt-get install python3-venv" >&2; \
	  exit 1; }
	$(BIN)/pip install --quiet --constraint constraints.txt hatchling editables
	$(BIN)/pip install --quiet --constraint constraints.txt --no-build-isolation --editable '.[dev]'
	-@$(BIN)/python -m tests.support.celery_source # tests fetch it where this fails
	@touch $@

clean:
	rm -rf .venv .bench .celery-source .screenshots build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
