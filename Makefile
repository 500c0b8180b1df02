# `make demo`: the whole way on generated ECGs. `make test`: lint, types and tests, for every change; `make test-slow`: the
# tests marked `slow`, which CI runs as well; `make test-all`: all tests. All of them create .venv first.

PYTHON ?= python3
BIN := .venv/bin
ADVMASK := $(BIN)/ecg-advmask
DEMO ?= demo
DEMO_RECORDS ?= 400
DEMO_SETTINGS ?=
PYTEST_OPTIONS ?= --numprocesses 2 --dist worksteal

# tests start many processes, which would compile the same modules again
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-slow test-all pytest lint types constraints clean

# ---- environment

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25'  # reads the index in half the time
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt \
		--editable '.[train,dev]'
	$(BIN)/python -m compileall -qq -j 0 -x '/tests/' .venv/lib || true  # on all cores; pip would take one
	touch $@

# ---- the whole way, from nothing

demo: .venv/installed
	rm -rf $(DEMO)
	$(ADVMASK) synth $(DEMO)/raw --layout both --records $(DEMO_RECORDS) --seed 1
	$(ADVMASK) embed small $(DEMO)/raw/cinc2021/training --out $(DEMO)/small.npz
	$(ADVMASK) prepare $(DEMO)/raw/cinc2021 $(DEMO)/cinc2021 --format cinc2021 --sampling-rate 100 \
		--patients $(DEMO)/raw/cinc2021/patients.csv
	$(ADVMASK) prepare $(DEMO)/raw/chapman $(DEMO)/chapman --format chapman --sampling-rate 100
	$(ADVMASK) pretrain $(DEMO)/cinc2021 $(DEMO)/run --preset demo --seed 2 $(DEMO_SETTINGS)
	$(ADVMASK) linear-eval $(DEMO)/run $(DEMO)/chapman --task rhythm --labels 0.1,0.3,1 --draws 3 --out $(DEMO)/rhythm.json
	$(ADVMASK) export $(DEMO)/run $(DEMO)/encoder.onnx --recordings $(DEMO)/raw/cinc2021/training
	$(ADVMASK) embed $(DEMO)/encoder.onnx $(DEMO)/raw/cinc2021/training --out $(DEMO)/embeddings.npz
	$(ADVMASK) report $(DEMO)/run --eval $(DEMO)/rhythm.json --data $(DEMO)/cinc2021 \
		--out $(DEMO)/report.html

# ---- checks; types are checked while the tests run, whose summary is the last line

test: lint
	$(MAKE) --no-print-directory --jobs 2 types pytest

test-slow: .venv/installed
	$(MAKE) --no-print-directory pytest PYTEST_OPTIONS='$(PYTEST_OPTIONS) -m "slow and not exhaustive"'

test-all: lint
	$(MAKE) --no-print-directory --jobs 2 types pytest PYTEST_OPTIONS='$(PYTEST_OPTIONS) --hypothesis-profile=default -m ""'

pytest: .venv/installed
	$(BIN)/python -m pytest $(PYTEST_OPTIONS)

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# mypy needs the package as it is installed: with cli/ and export/ inside.
types: .venv/installed
	rm -rf build/typed && mkdir -p build/typed/ecg_advmask
	ln -s $(CURDIR)/ecg_advmask/* $(CURDIR)/cli $(CURDIR)/export build/typed/ecg_advmask/
	cd build/typed && ../../$(BIN)/mypy --config-file ../../pyproject.toml --cache-dir ../../.mypy_cache -p ecg_advmask

# ---- what CI and Docker install, exactly: the newest versions that the lower bounds admit

constraints:
	rm -rf build/pins && $(PYTHON) -m venv build/pins
	build/pins/bin/python -m pip install --quiet --disable-pip-version-check '.[train,dev]'
	build/pins/bin/python -m pip freeze --exclude ecg-advmask > constraints.txt

clean:
	rm -rf .venv build demo .mypy_cache .pytest_cache .ruff_cache
