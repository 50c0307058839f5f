# make demo | test | lint | docs | clean    needs Python 3.11 or newer, make and git
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := core $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))
# The packages that need torch or more are installed by what uses them, not by the demo.
LIGHT := core plugins/metrics plugins/baselines plugins/nh2015 plugins/kriegeskorte2008 plugins/simulated
UV := $(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt
MANIFESTS := pyproject.toml constraints.txt $(wildcard */pyproject.toml plugins/*/pyproject.toml)
WORKERS ?= 2

.PHONY: demo test lint docs clean
.DEFAULT_GOAL := demo

demo: $(VENV)/.demo
	$(BIN)/isocortex demo

test: $(VENV)/.test
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup --cov --cov-report=term --cov-fail-under=90

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports --no-logo

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

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
