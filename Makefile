# Each target sets up what it needs; only Python 3.11 and a package index are taken for granted.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help setup demo demo-refine test lint bench bench-train clean
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: $(READY) ## make .venv with the pinned requirements (minutes, 6.5 GB)

$(READY): requirements.txt
	@echo "== setting up $(VENV) (a few minutes the first time)"
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) not found: install Python 3.11 or call make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

examples/astronaut.png: $(READY)
	@echo "== taking the example photograph out of scikit-image (NASA, public domain)"
	@$(BIN)/python -m tools.example_photograph --output $@

demo: examples/astronaut.png ## a photograph becomes a 3D head: results/index.html
	@echo "== reconstructing the faces of examples/"
	$(BIN)/python infer.py --images examples/ --output results/
	@echo "== done: open results/index.html in a browser"

demo-refine: examples/astronaut.png ## the same, refined by inverse rendering: skin maps, light, relit pictures
	@echo "== refining the faces of examples/"
	$(BIN)/python infer.py --images examples/ --output results/ --refine raytrace
	@echo "== done: open results/index.html in a browser"

lint: $(READY) ## format, lint, types, import rules, spelling
	@echo "== ruff"
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	@echo "== pyright"
	$(BIN)/pyright --pythonpath $(BIN)/python
	@echo "== import rules"
	$(BIN)/lint-imports
	@echo "== codespell"
	$(BIN)/codespell

test: lint ## lint, then the tests
	@echo "== pytest"
	$(BIN)/python -m pytest

bench: $(READY) ## milliseconds per face, images per second
	$(BIN)/python -m tools.benchmark

bench-train: $(READY) ## training throughput over that of the bare backbone
	$(BIN)/python -m tools.bench_train

clean: ## remove results and caches, keep .venv
	rm -rf results .pytest_cache .ruff_cache .import_linter_cache
