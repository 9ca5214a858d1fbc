# The commands of Earmark. Each prepares what it needs; `make` alone lists them. Without make: see README.md.

SHELL := /bin/sh
# The first of these that is there; tools/environment.py says what to do when it is too old.
PYTHON ?= $(shell for name in python3.11 python3.12 python3 python; do command -v $$name && break; done)
VENV_PYTHON := .venv/bin/python
HOME_DIR ?= demo
# A worker a core, four at most (each holds a torch and a browser), a file's tests together: they share what they set up.
WORKERS ?= -n auto --maxprocesses 4 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev browser run test test-voices check format demo bench clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST)

setup: ## .venv with the requirements; does nothing when they have not changed
	@$(if $(PYTHON),$(PYTHON) tools/environment.py,echo "Earmark needs Python 3.11 or 3.12, and no Python was found." >&2; exit 1)

setup-dev: ## the same, with what tests and checks need
	@$(if $(PYTHON),$(PYTHON) tools/environment.py --dev,echo "Earmark needs Python 3.11 or 3.12, and no Python was found." >&2; exit 1)

browser: setup-dev ## a browser for the tests of the page
	@$(VENV_PYTHON) tools/browser.py --install >/dev/null

run: setup ## the app on http://127.0.0.1:7860 (ARGS="--port 8000" for its options)
	@$(VENV_PYTHON) app.py $(ARGS)

test: setup-dev browser ## every test (ARGS="-k gate" for some)
	@$(VENV_PYTHON) -m pytest $(WORKERS) $(ARGS)

test-voices: setup-dev ## the tests of voices that have environments of their own, each in its own
	@$(VENV_PYTHON) tools/voice_tests.py $(ARGS)

check: setup-dev ## formatting, lint, types and import rules
	@$(VENV_PYTHON) -m ruff format --check .
	@$(VENV_PYTHON) -m ruff check .
	@$(VENV_PYTHON) -m mypy
	@$(VENV_PYTHON) -m pytest -q tests/test_architecture.py

format: setup-dev ## rewrite the formatting and what lint can mend by itself
	@$(VENV_PYTHON) -m ruff format .
	@$(VENV_PYTHON) -m ruff check --fix .

demo: setup ## the whole loop without a browser, with simulated reviewers, in demo/ (HOME_DIR=... for elsewhere)
	@$(VENV_PYTHON) -m engine demo --home $(HOME_DIR)

bench: setup-dev ## the measurements of benchmarks/
	@$(VENV_PYTHON) -m benchmarks $(ARGS)

clean: ## caches of the tools; never .venv, runs, clips or judgements
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -not -path "./.venv/*" -prune -exec rm -rf {} +
