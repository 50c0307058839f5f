# make demo | test | test-all | lint | docs | clean    needs Python 3.11 or newer, make and git
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := core $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))
# The packages that need torch or more are installed by what uses them, not by the demo.
LIGHT := core plugins/metrics plugins/baselines plugins/nh2015 plugins/kriegeskorte2008 plugins/geirhos2021 plugins/allen2p plugins/majajhong2015 plugins/cowley2023 plugins/report plugins/simulated plugins/slurm
UV := $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt
MANIFESTS := pyproject.toml constraints.txt $(wildcard */pyproject.toml plugins/*/pyproject.toml)
WORKERS ?= 2
# Workers that each use all cores only get into each other's way.
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
PYTEST := $(ONE_THREAD) $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup --durations=20

.PHONY: demo test test-all lint docs clean
.DEFAULT_GOAL := demo

demo: $(VENV)/.demo
	$(BIN)/isocortex demo
	@$(BIN)/isocortex report results/demo --out report/demo

# the gate: every promise, in a few minutes
test: $(VENV)/.test
	$(PYTEST) -m "not long"

# the gate and the long proofs, with coverage, which costs two thirds more
test-all: $(VENV)/.test $(VENV)/.docs
	$(PYTEST) --cov --cov-report=term --cov-fail-under=90

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports --no-logo

# not --quiet: it drops warnings before --strict counts them
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) build dist site .pytest_cache .ruff_cache .coverage .coverage.*
	find core plugins tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.uv:
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'isocortex needs Python 3.11 or newer: make PYTHON=python3.12')"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	touch $@

$(VENV)/.demo: $(VENV)/.uv $(MANIFESTS)
	$(UV) $(addprefix --editable ./,$(LIGHT))
	touch $@

# by pip, which also takes a build that lies on this machine; elsewhere see pytorch.org for one without CUDA
$(VENV)/.torch: $(VENV)/.demo
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-deps torchvision
	touch $@

$(VENV)/.test $(VENV)/.lint: $(VENV)/.torch
$(VENV)/.test $(VENV)/.lint $(VENV)/.docs: $(VENV)/.%: $(VENV)/.demo
	$(UV) --group $* $(addprefix --editable ./,$(PACKAGES))
	touch $@
