# make train    set up on a fresh machine, then train on the sample data
# make test     set up, then the tests: no network; six to eight minutes on two shared cores
# make torture  kills, damage, full disks done to the real training; three minutes
# make fuzz     readers, archives and bundles fed with inputs made by chance; five minutes
# make lint     ruff and mypy
# ARGS="..."    more words for train.py:  make train ARGS="model=mini trainer.max_epochs=3"

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
ENGINES := .venv-engines

.PHONY: train test test-slow test-cluster torture fuzz bench lint setup clean

train: setup
	$(RUN) train.py $(ARGS)

test: setup
	$(RUN) -m pytest -n 2 --dist worksteal -m "not slow and not cluster" $(ARGS)

test-slow: setup
	$(RUN) -m pytest -m "slow and not cluster" $(ARGS)

# examples/ on Ray and Spark themselves, in an environment of their own; needs Java 17. Some minutes
test-cluster: setup $(ENGINES)/ready
	ENGINES=$(ENGINES)/bin $(RUN) -m pytest -n 0 -m cluster tests/test_cluster.py $(ARGS)

# Faults done to the real training: what survives, with a table; the short form is a test. Three minutes
torture: setup
	$(RUN) benchmarks/torture.py $(ARGS)

# The short form is a test: other inputs with FUZZ_SEED=1, more of them with FUZZ=100000
fuzz: setup
	FUZZ=$${FUZZ:-5000} $(RUN) -m pytest -n 0 tests/test_fuzz.py $(ARGS)

# Side by side with peers, in turn: benchmarks/README.md
bench: setup
	$(RUN) -m pip install -q -c constraints.txt -e '.[bench]'
	$(RUN) benchmarks/run.py $(ARGS)

lint: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

setup: $(VENV)/ready

# Made anew when what it is made from has changed, and only then.
$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; try: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install -q -c constraints.txt -e '.[dev]'
	touch $@

$(ENGINES)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(ENGINES)
	$(ENGINES)/bin/python -m pip install -q -c constraints.txt -e '.[serve,parquet,engines]'
	touch $@

clean:
	rm -rf $(VENV) $(ENGINES)
