# make demo and make test are all that a newcomer needs: each sets itself up.
SHELL  := /bin/bash
PYTHON ?= python3
VENV   ?= .venv
PY     := $(VENV)/bin/python
DONE   := $(VENV)/.installed

CORPUS ?=
LIMIT  ?= 0
# The bundled corpus lives in runs/demo; a corpus of yours in runs/demo-NAME, so that the two never mix.
DEMO   ?= $(if $(CORPUS),--corpus.root $(abspath $(CORPUS)) --dir runs/demo-$(notdir $(abspath $(CORPUS))))

.DEFAULT_GOAL := help
.PHONY: help install demo test system-test test-mfa chaos check bench clean

help:  ## List these words
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12
	@echo "A corpus of yours: make demo CORPUS=/path/to/LJSpeech-1.1 LIMIT=100"

install: $(DONE)  ## Make .venv, install everything, compile the text grammar

$(DONE): pyproject.toml constraints.txt
	@echo "Installing about 190 packages (3 GB) into $(VENV): some minutes."
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt -e '.[dev,server]'
	@$(PY) -m compileall -q -j 0 $(VENV)/lib >/dev/null 2>&1 || true  # on all cores; pip compiles on one
	$(PY) -m wg2.text.normalize
	@touch $@

demo: $(DONE)  ## From a corpus to a speaking voice and a report (CORPUS=..., LIMIT=N for one of yours)
	$(PY) pipelines/demo.py --config configs/demo.toml --corpus.limit $(LIMIT) $(DEMO)

test: $(DONE)  ## Run the tests; WG2_REAL_DATA=/folder adds those on real recordings
	OMP_NUM_THREADS=1 $(PY) -m pytest --numprocesses 2 --dist loadgroup --no-loadscope-reorder --durations 12

system-test: $(DONE)  ## The four jobs on three machines with PostgreSQL, MLflow and S3, nodes killed, the network cut
	$(PY) tests/system

test-mfa: $(DONE)  ## Run the tests on the real `mfa` (WG2_MFA_COMMAND='micromamba run -n mfa mfa' WG2_REAL_DATA=/folder)
	$(PY) -m pytest -m mfa tests/alignment

chaos: $(DONE)  ## Kill drivers, workers and nodes in the middle of prepare and of train, ten times each
	WG2_CHAOS_SEEDS=10 $(PY) -m pytest tests/pipelines/test_prepare_chaos.py tests/pipelines/test_train_chaos.py --durations 0

check: $(DONE)  ## Lint, format, strict types, import rule
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(PY) -m pytest -q tests/test_architecture.py

bench: $(DONE)  ## Run the benchmarks; each prints one JSON line
	@for program in benchmarks/*.py; do echo "== $$program" >&2; $(PY) $$program || exit 1; done

clean:  ## Remove .venv and caches; runs/ stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
