# make demo    a training run that you can watch, about two minutes after the installs
# make test    everything that must hold: style, types, floors, all tests
# make quick   the tests that are not slow, under 90 seconds
# make check   style, types and floors alone
# make fuzz    1,000 random cells in C against the Python loop; make fuzz SEED=7 CELLS=1000
# make sanitize  50 random cells in C, built with the address sanitizer and the one for undefined behaviour
# make golden  write the golden files anew; read the difference before you commit it
# make bench   the figures of docs/bench.md, about a quarter of an hour; its peers live in an environment of their own
# make docs    the drawings of docs/
# make setup   the environment (.venv); every target above but bench calls it, it runs once
# make clean   whatever these made, but for the environments

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
PEERS := .venv-bench/.ready
WORKERS ?= 2
SEED ?= $(shell od -An -N2 -tu2 /dev/urandom | tr -d ' ')
CELLS ?= 1000

.PHONY: demo test quick check fuzz sanitize golden bench docs setup clean

setup: $(READY)

# torch alone and first: left to choose among several packages that ask for it, pip fetches more than one of its builds.
$(READY): constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("elman needs Python 3.11 or newer: make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[jobs,dev]'
	touch $(READY)

# On one thread, so that it takes as long on a busy machine as on an idle one.
demo: $(READY)
	@mkdir -p demo
	$(BIN)/elman text fit --out demo/model.elman --fresh --epochs 6 --threads 1
	$(BIN)/elman text sample demo/model.elman --prompt "The " --length 300 --temperature 0.5 --seed 1
	$(BIN)/elman text sample demo/model.elman --prompt "class " --length 300 --temperature 0.8 --seed 2
	@echo
	@echo "the report: $(CURDIR)/demo/model.html, its learning curve: $(CURDIR)/demo/model.png"

test: check
	HYPOTHESIS_PROFILE=full $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

quick: $(READY)
	HYPOTHESIS_PROFILE=quick $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not slow"

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache

FUZZ = $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal tests/test_c_random.py -k 'not some'

fuzz: SEED := $(SEED)
fuzz: $(READY)
	@echo "repeat by: make fuzz SEED=$(SEED) CELLS=$(CELLS)"
	ELMAN_FUZZ_SEED=$(SEED) ELMAN_FUZZ_CELLS=$(CELLS) $(FUZZ)

# The sanitizer of a library wants its own part of the process to be there before Python is.
sanitize: $(READY)
	ASAN_OPTIONS=detect_leaks=0 LD_PRELOAD=$$($${CC:-cc} -print-file-name=libasan.so) \
		ELMAN_FUZZ_SANITIZE=1 ELMAN_FUZZ_CELLS=50 $(FUZZ)

golden: $(READY)
	$(BIN)/python -m pytest -q -m golden --golden

bench: $(PEERS)
	.venv-bench/bin/python -m bench

$(PEERS): bench/constraints.txt constraints.txt pyproject.toml
	test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet torch==2.13.0
	.venv-bench/bin/python -m pip install --quiet --constraint constraints.txt --constraint bench/constraints.txt \
		--editable '.[jobs]' 'jax[cpu]' onnxruntime onnx torchmetrics scipy
	touch $(PEERS)

docs: $(READY)
	$(BIN)/python docs/drawings.py

clean:
	rm -rf demo build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './.venv*/*' -prune -exec rm -rf {} +
