# Each target sets up what it needs; only Python 3.11 and a package index are taken for granted.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# One environment, three sets of requirements, each on top of the one before; a stamp says that a set is installed.
RUN := $(VENV)/.ready-run
TRAIN := $(VENV)/.ready-train
DEVELOP := $(VENV)/.ready-develop
API := build/api
# A process for each core, a file of tests in one of them: files share what they have set up.
PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadfile

.PHONY: help setup setup-run setup-train demo demo-refine test test-fast lint docs bench bench-train clean
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: $(DEVELOP) ## make .venv with all pinned requirements, for development (minutes, 6.5 GB)

setup-train: $(TRAIN) ## make .venv with what training and measuring need

setup-run: $(RUN) ## make .venv with what infer.py needs, and nothing else

$(RUN): requirements/run.txt requirements/cuda.txt
	@echo "== setting up $(VENV) (a few minutes the first time)"
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) not found: install Python 3.11 or call make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) -r requirements/run.txt
	@touch $@

$(TRAIN): $(RUN) requirements/train.txt
	@echo "== adding what training and measuring need"
	$(PIP) -r requirements/train.txt
	@touch $@

$(DEVELOP): $(TRAIN) requirements/develop.txt
	@echo "== adding what tests and lint need"
	$(PIP) -r requirements/develop.txt
	@touch $@

# scikit-image is of the training set; only it and what reads its picture are added here, at their pinned versions.
examples/astronaut.png: | $(RUN)
	@echo "== taking the example photograph out of scikit-image (NASA, public domain)"
	@$(PIP) --no-deps $$(grep -E '^(ImageIO|lazy-loader|scikit-image|tifffile)==' requirements/train.txt)
	@$(BIN)/python -m tools.example_photograph --output $@

demo: examples/astronaut.png ## a photograph becomes a 3D head: results/index.html
	@echo "== reconstructing the faces of examples/"
	$(BIN)/python infer.py --images examples/ --output results/
	@echo "== done: open results/index.html in a browser"

demo-refine: examples/astronaut.png ## the same, refined by inverse rendering: skin maps, light, relit pictures
	@echo "== refining the faces of examples/"
	$(BIN)/python infer.py --images examples/ --output results/ --refine raytrace
	@echo "== done: open results/index.html in a browser"

lint: $(DEVELOP) ## format, lint, types, import rules, spelling
	@echo "== ruff"
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	@echo "== pyright"
	$(BIN)/pyright --pythonpath $(BIN)/python
	@echo "== import rules"
	$(BIN)/lint-imports
	@echo "== codespell"
	$(BIN)/codespell

test: lint docs ## lint and API pages, then all tests
	@echo "== pytest"
	$(PYTEST)

test-fast: $(DEVELOP) ## the quick tests alone, in about two minutes
	@echo "== pytest, without the tests that are marked slow"
	$(PYTEST) -m "not slow"

docs: $(DEVELOP) ## make API pages from the docstrings: build/api/index.html
	@echo "== API pages"
	$(BIN)/python -m tools.api_pages --output $(API)

bench: $(TRAIN) ## milliseconds per face, images per second
	$(BIN)/python -m tools.benchmark

bench-train: $(TRAIN) ## training throughput over that of the bare backbone
	$(BIN)/python -m tools.bench_train

clean: ## remove results and caches, keep .venv
	rm -rf results $(API) .pytest_cache .ruff_cache .import_linter_cache
