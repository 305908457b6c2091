# The two commands of the README, and what they are made of.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: demo test check unit hw docs fuzz sinabs-suite clean

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet "torch>=2.5,<2.14"
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/speckflex demo --out demo

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell --toml pyproject.toml speckflex tests docs examples README.md CHANGELOG.md
	$(BIN)/pyright --pythonpath $(BIN)/python

unit: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist worksteal

# The tests that also run on a chip: make hw BOARD=speck2e:0
BOARD ?= virtual:speck2e
hw: $(STAMP)
	$(BIN)/python -m pytest hw_tests --board $(BOARD)

# Ten thousand random programs against the slow reference; CI runs a part of them.
PROGRAMS ?= 10000
fuzz: $(STAMP)
	$(BIN)/python tests/support/fuzz_twin.py --programs $(PROGRAMS)

# sinabs' own tests of its backend, unchanged, on the virtual devkit (fetches sinabs' source).
sinabs-suite: $(STAMP)
	$(BIN)/python tests/support/sinabs_suite.py

docs: $(STAMP)
	$(BIN)/mkdocs build --strict

test: check unit hw

clean:
	rm -rf $(VENV) demo out build dist *.egg-info
