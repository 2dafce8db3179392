# Two commands do everything on a machine that has Python 3.11 or newer:
#
#   make demo    set up .venv, paint what comes with SIAN, say where the pictures are
#   make test    set up .venv, then format check, lint, strict types and tests
#
# Both install only when pyproject.toml or constraints.txt has changed, and need no network otherwise.
# On Linux the default torch brings CUDA. For the smaller CPU build give PyTorch's CPU index (the address stands on its
# "Get started" page): make demo TORCH_INDEX=https://...

.DEFAULT_GOAL := help
.PHONY: help demo test fuzz mutants format docs clean wheel-check bundle

# The first Python that is new enough; `make PYTHON=/path/to/python3.12 demo` names another.
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)
TORCH_INDEX ?=
WORKERS ?= 2
MINUTES ?= 10

VENV := .venv
BIN := $(VENV)/bin
LOG := $(VENV)/install.log
INSTALLED := $(VENV)/.installed

fail = { echo "make: $(1)" >&2; exit 1; }

help:
	@echo "make demo         paint what comes with SIAN, in every organ's style, into demo/"
	@echo "make test         format check, lint, strict types, architecture test, tests"
	@echo "make fuzz         spoil small files of every format and read them, for MINUTES=10; findings go to out/fuzz/"
	@echo "make mutants      break a line at a time and see whether a test notices; takes most of an hour"
	@echo "make format       put the code into its format and mend what the linter can mend"
	@echo "make docs         the documentation as a web site, into docs/_build/"
	@echo "make wheel-check  build the wheel and try it outside the checkout"
	@echo "make bundle RUN=runs/small DATA=data/monuseg   make a run the bundled model, with its numbers and its card"
	@echo "make clean        remove what these commands made, .venv too"

demo: $(INSTALLED)
	@$(BIN)/sian demo -o demo || $(call fail,the demo failed; see the line above)
	@echo "The pictures are in $(CURDIR)/demo"

# One thread a test worker: two workers with all cores each would be slower than one.
test: export OMP_NUM_THREADS := 1
test: export MKL_NUM_THREADS := 1
test: $(INSTALLED)
	@$(BIN)/ruff format --check . || $(call fail,some files are not in format; try make format)
	@$(BIN)/ruff check . || $(call fail,the linter found something; see above)
	@$(BIN)/mypy || $(call fail,the types do not fit; see above)
	@$(BIN)/python -m pytest -n $(WORKERS) -m "not shared and not browser" --doctest-modules src tests || $(call fail,a test failed; see above)

fuzz: export OMP_NUM_THREADS := 1
fuzz: export MKL_NUM_THREADS := 1
fuzz: $(INSTALLED)
	@$(BIN)/python benchmarks/fuzz.py --minutes $(MINUTES) || $(call fail,some files are read badly; see above)

mutants: export OMP_NUM_THREADS := 1
mutants: export MKL_NUM_THREADS := 1
mutants: $(INSTALLED)
	@$(BIN)/python tests/mutants.py || $(call fail,too many breaks survive; see above)

format: $(INSTALLED)
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

docs: $(INSTALLED)
	@$(BIN)/python -m pip install -q -c constraints.txt -e ".[docs]" || $(call fail,the documentation tools could not be installed)
	@$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build || $(call fail,the documentation has faults; see above)
	@echo "The documentation is docs/_build/index.html"

wheel-check: $(INSTALLED)
	@$(BIN)/python .ci/wheel_check.py || $(call fail,the wheel does not work outside the checkout; see above)

# From a run to the bundled model: style bank, numbers of the reconstruction protocol, card.
RUN ?= runs/small
DATA ?= data/monuseg
ALIASES ?= --alias lung=liver
NOTES ?= docs/results/pictures.md
MODEL := src/sian/assets/model.safetensors
SEGMENTER := judge
bundle: export OMP_NUM_THREADS :=
bundle: export MKL_NUM_THREADS :=
bundle: $(INSTALLED)
	@$(BIN)/sian export $(RUN) --data $(DATA) $(ALIASES) --storage int8 -o $(MODEL) || $(call fail,the run could not be exported)
	@$(BIN)/sian evaluate-model --model $(MODEL) --data $(DATA) --segmenter $(SEGMENTER) --noise 1 \
		-o $(RUN)/report --json > $(RUN)/report.json || $(call fail,the model could not be measured)
	@$(BIN)/sian export $(MODEL) --metrics $(RUN)/report.json --notes $(NOTES) || $(call fail,the numbers do not go into the model)
	@echo "The bundled model is $(MODEL), its card $(MODEL:.safetensors=.md), its report $(RUN)/report/"

clean:
	rm -rf $(VENV) demo build dist docs/_build .pytest_cache .mypy_cache .ruff_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n "$(PYTHON)" || $(call fail,no Python 3.11 or newer found; install one or name it: make PYTHON=/path/to/python3.12)
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| $(call fail,$(PYTHON) is not Python 3.11 or newer; name another: make PYTHON=/path/to/python3.12)
	@"$(PYTHON)" -m venv $(VENV) || $(call fail,$(PYTHON) could not make $(VENV); it may lack the venv package)

$(INSTALLED): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing into $(VENV); the first time this takes a few minutes."
	@if [ -n "$(TORCH_INDEX)" ]; then \
		$(BIN)/python -m pip install -c constraints.txt --index-url "$(TORCH_INDEX)" torch > $(LOG) 2>&1 \
			|| $(call fail,torch could not be installed from TORCH_INDEX; see $(LOG)); fi
	@$(BIN)/python -m pip install -c constraints.txt -e ".[dev]" hatchling > $(LOG) 2>&1 \
		|| { grep -i '^error' $(LOG) | tail -n 3 >&2; $(call fail,the packages could not be installed; see $(LOG)); }
	@touch $@
