# Two commands: `make cloud` forms a real cloud of three machines on this one, `make test` tests everything.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: cloud cloud-down test check unit lab-test packages benchmark nine faults sample

cloud: .venv/installed packages
	$(BIN)/mcloud lab down
	$(BIN)/mcloud lab up --machines 3
	$(BIN)/mcloud lab form examples/lab.yaml

cloud-down: .venv/installed
	$(BIN)/mcloud lab down

test: check unit lab-test sample

check: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright
	$(BIN)/lint-imports

# Most of their time tests wait for something: several files at once keep the machine busy. The tests of one
# file stay together: those of multicast, for one, would hear each other.
unit: .venv/installed
	$(BIN)/python -m pytest -q -n 3 --dist loadfile --ignore tests/lab

# First alone what looks at this whole machine before and after; then two labs at a time.
LAB_ALONE := tests/lab/test_lab_machines.py
lab-test: .venv/installed packages
	$(BIN)/python -m pytest -q -x $(LAB_ALONE)
	$(BIN)/python -m pytest -q -x -n 2 --dist loadfile --ignore $(LAB_ALONE) tests/lab

# Other cells of the matrix with each commit.
sample: .venv/installed packages
	$(BIN)/python tools/faults.py --labs 2 --sample 4 --seed "$$(git rev-parse HEAD)"

faults: .venv/installed packages
	$(BIN)/python tools/faults.py --labs 2 --record build/faults.jsonl

benchmark: .venv/installed packages
	$(BIN)/python benchmarks/forming.py
	$(BIN)/python benchmarks/session.py

# Ten times nine machines with a load of 8 beside, then three and nine in quiet: half an hour.
nine: .venv/installed packages
	$(BIN)/python benchmarks/nine.py

packages:
	tools/lab-packages.sh

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	# The lab's machines see the sources read only and would compile them at every start.
	$(BIN)/python -m compileall -q core plugins
	touch $@
