# `make demo` and `make test` need python3 (3.10 or newer) and make; everything else they install into .venv.
# Nothing is installed again unless pyproject.toml, setup.py or constraints.txt changed.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# One thread a process: two threads on a small shared machine cost four times the CPU time.
export OMP_NUM_THREADS ?= 1

PINS := pyproject.toml setup.py constraints.txt
RUN_ENV := $(VENV)/.installed
DEV_ENV := $(VENV)/.installed-dev

.PHONY: help demo test test-all faults soak lint bench screenshots tui env dev clean

help:  ## show these lines
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "detui needs Python 3.10 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1). Try: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 3; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "python3 cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2; rm -rf $(VENV); exit 3; }

$(RUN_ENV): $(PINS) | $(BIN)/python
	@echo "Installing detui and the frameworks into $(VENV) (minutes, once)" >&2
	@$(BIN)/pip install -qq --constraint constraints.txt --editable '.[ultralytics]'
	@touch $@

$(DEV_ENV): $(RUN_ENV)
	@$(BIN)/pip install -qq --constraint constraints.txt --editable '.[ultralytics,dev]'
	@touch $@

env: $(RUN_ENV)  ## the environment alone

dev: $(DEV_ENV)  ## the environment with what tests and lint need

demo: $(RUN_ENV)  ## run a real recipe on generated scenes and show its record (a few minutes)
	@$(BIN)/detui run starter/mosaic --profile quick --yes

# Clocks, terminals and killed processes are tested one after the other, as they need a machine for themselves; all else
# side by side. Both halves run, whatever comes of the first.
ALONE := tests/faults tests/tui/test_terminal.py tests/tui/test_tmux.py tests/tui/test_traffic.py
SIDE_BY_SIDE := $(addprefix --ignore=,$(ALONE)) --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder
run_tests = failed=0; $(BIN)/python -m pytest -q -m $(1) $(SIDE_BY_SIDE) || failed=$$?; \
	$(BIN)/python -m pytest -q -m $(1) $(ALONE) || failed=$$?; exit $$failed

test: $(DEV_ENV)  ## all tests but the slow ones
	@$(call run_tests,"not slow")

test-all: $(DEV_ENV)  ## the slow tests, which `make test` leaves out
	@$(call run_tests,slow)

faults: $(DEV_ENV)  ## run every fault and write the table of docs/run-control.md from what came of it
	@$(BIN)/python -m pytest -q tests/faults --faults-table docs/run-control.md

soak: $(DEV_ENV)  ## two hundred runs on two slots with random kills; DETUI_SOAK_SEED repeats one
	@DETUI_SOAK_RUNS=200 $(BIN)/python -m pytest -q -s -m slow tests/faults/test_processes.py -o timeout=3600

lint: $(DEV_ENV)  ## ruff, types, import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@# Type checkers do not follow an editable mapping: they see the packages through links.
	@mkdir -p .build/types/detui && for folder in engine tui recipes; do ln -sfn ../../../$$folder .build/types/detui/$$folder; done
	@MYPYPATH=.build/types $(BIN)/mypy -p detui.engine -p detui.tui
	@$(BIN)/lint-imports --no-cache

bench: $(DEV_ENV)  ## the budgets, measured
	@$(BIN)/python tests/bench/bench.py

screenshots: $(DEV_ENV)  ## the pictures of the README, from real runs (minutes; a Chromium on the path makes PNG)
	@$(BIN)/python docs/screenshots.py $(WORKSPACE)

tui: $(RUN_ENV)  ## the terminal application
	@$(BIN)/detui

clean:  ## remove the environment and what was built
	rm -rf $(VENV) .build build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
