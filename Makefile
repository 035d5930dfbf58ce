# make run    installs what is missing and opens the lab on http://127.0.0.1:8501
# make test   the same for the tests, then runs every one of them
# make benchmarks   the lab against its peers, on an otherwise idle machine: about ten minutes for speed and memory, then half an
#                   hour for what five minutes teach. ROOT=... names a Cityscapes folder other than ../shared/data/cityscapes
# make study   the 36 combinations of docs/study.json on street scenes, by halving: about half an hour on two idle cores

PYTHON ?= python3
ROOT ?= ../shared/data/cityscapes
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.PHONY: run test benchmarks faults study chromium

run: .venv/lab
	$(BIN)/streamlit run app/main.py

test: .venv/tests chromium
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

benchmarks: .venv/tests
	$(BIN)/python benchmarks/models.py
	$(BIN)/python benchmarks/predict.py
	$(BIN)/python benchmarks/loading.py
	$(BIN)/python benchmarks/scoring.py
	$(BIN)/python benchmarks/learning.py --minutes 5 --root $(ROOT)

study: .venv/lab
	$(BIN)/python -m core sweep start docs/study.json

# Kills, full disks and bad labels by the hundred, for more than an hour; SCALE=0.1 does a tenth.
faults: .venv/lab
	$(BIN)/python benchmarks/faults.py --scale $(or $(SCALE),1)

# Installed once; again only when the lists change.
.venv/lab: requirements.txt
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or newer is needed; name it: make run PYTHON=python3.12')"
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@echo "Installing the lab's packages into .venv. This takes a few minutes, once."
	$(PIP) -r requirements.txt
	touch $@

.venv/tests: requirements-dev.txt .venv/lab
	$(PIP) -r requirements-dev.txt
	touch $@

# Debian's where we may install it, else Playwright's own; without either, the browser tests say that they were skipped.
chromium: .venv/tests
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
	|| { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
	     && apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; } \
	|| $(BIN)/playwright install chromium \
	|| echo "There is no Chromium: the browser tests will be skipped."
