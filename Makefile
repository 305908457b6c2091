# The two commands of the README, and what they are made of.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
# Installed first, so that a CPU build that pip can see is kept.
TORCH  ?= torch>=2.5,<2.14

.PHONY: demo test check unit hw coverage docs docs-picture layers pictures schema tutorial changelog hooks fuzz other-processors sinabs-suite clean faults

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet "$(TORCH)"
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/speckflex demo --out demo

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell --toml pyproject.toml
	$(BIN)/pyright --pythonpath $(BIN)/python

unit: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist worksteal

# The tests that also run on a chip: make hw BOARD=speck2e:0
BOARD ?= virtual:speck2e
hw: $(STAMP)
	$(BIN)/python -m pytest hw_tests --board $(BOARD)

test: check unit hw

# Which lines the tests run. numba's kernels are compiled, so their lines are not counted.
# One test limits the size of files, which coverage's own file would exceed.
LIMITS_FILE_SIZES := tests/_support/test_files.py::test_a_file_that_gets_too_large_for_its_disk_leaves_the_old_one
coverage: $(STAMP)
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n 2 --dist worksteal --deselect $(LIMITS_FILE_SIZES)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

docs: $(STAMP)
	$(BIN)/zensical build --strict

# Each layer of the install in a fresh environment: its size, and whether its commands work.
LAYERS ?=
layers: $(STAMP)
	$(BIN)/python tests/support/layers.py $(LAYERS) --torch "$(TORCH)"

# The pictures and tables of docs/architecture.md, made anew from the source.
docs-picture: $(STAMP)
	$(BIN)/python tests/support/draw_rooms.py

# The pictures of a report in README.md and docs/, taken anew in headless Chromium.
pictures: $(STAMP)
	mkdir -p pictures && cp speckflex/models/synthetic-digits.pt pictures/digits.pt
	cd pictures && $(abspath $(BIN))/speckflex deploy digits.pt --data synthetic-digits --samples 40 \
		--input-shape 2,34,34 --out out
	$(BIN)/python tests/support/picture_report.py pictures/out/report.html docs/images
	rm -rf pictures

# The JSON Schema of report.json, made anew from the record of a report.
schema: $(STAMP)
	$(BIN)/python -c "from speckflex.report._schema import render_schema; print(render_schema(), end='')" \
		> docs/report.schema.json.new && mv docs/report.schema.json.new docs/report.schema.json

# The tutorial notebook with what it shows, run anew.
tutorial: $(STAMP)
	$(BIN)/python tests/support/run_tutorial.py

# What the next version's part of CHANGELOG.md will say.
changelog: $(STAMP)
	$(BIN)/towncrier build --draft --version "next version"

# Run the checks at every commit.
hooks: $(STAMP)
	$(BIN)/pre-commit install

# Ten thousand random programs against the slow reference, and thousands of changed files at each
# door; CI runs a part of them.
PROGRAMS ?= 10000
CASES ?= 2000
fuzz: $(STAMP)
	$(BIN)/python tests/support/fuzz_twin.py --programs $(PROGRAMS)
	$(BIN)/python tests/support/fuzz_files.py --cases $(CASES)

# Commands that are killed, or lose their disk, their home or their clock; CI runs a few rounds.
ROUNDS ?= 50
faults: $(STAMP)
	$(BIN)/python tests/support/faults.py --rounds $(ROUNDS)

# The tests of floats with the sums of other processors: every sum in another order for each size of
# a batch, then the other paths of MKL, oneDNN and torch, then one thread. On a build of torch without
# MKL its settings have no effect; the first run does not depend on the library.
FLOAT_TESTS ?= tests/training tests/networks tests/conversion tests/deployment tests/twin/test_sinabs.py
PATHS := MKL_CBWR=COMPATIBLE MKL_CBWR=AVX2 ONEDNN_MAX_CPU_ISA=SSE41 \
	ATEN_CPU_CAPABILITY=default ATEN_CPU_CAPABILITY=avx2 OMP_NUM_THREADS=1
other-processors: $(STAMP)
	PYTHONPATH=tests/support $(BIN)/python -m pytest -q -p reordered_sums $(FLOAT_TESTS)
	for path in $(PATHS); do \
		echo "$$path" && env $$path $(BIN)/python -m pytest -q $(FLOAT_TESTS) || exit 1; \
	done

# sinabs' own tests of its backend, unchanged, on the virtual devkit (fetches sinabs' source).
sinabs-suite: $(STAMP)
	$(BIN)/python tests/support/sinabs_suite.py

clean:
	rm -rf $(VENV) demo out build dist *.egg-info
