# make run        installs what is missing and opens the lab; ARGS=--no-token asks nobody for the start token
# make test       the same for the tests, then runs them: style, types, dead code, behaviour
# make campaign   the tests that take long: every network, long SLURM campaigns, soaks
# make extras     installs what the optional parts need
# make film      films the way from the first page to three masks, README's film: five minutes
# make audit      asks osv.dev for known holes in what uv.lock names; needs a network
# make house      writes the tree in docs/house.md anew, from the modules' docstrings
# make lock       writes uv.lock and requirements.txt anew, after a change of the dependencies in pyproject.toml
# make benchmarks the lab against its peers, on an otherwise idle machine, and one table: half an hour for speed and memory, then as
#                 much for what five minutes teach. ROOT=... names a Cityscapes folder other than ../shared/data/cityscapes
# make study      the 36 combinations of docs/study.json on street scenes, by halving: about half an hour on two idle cores
# make faults     kills, full disks and bad labels by the hundred, for more than an hour; SCALE=0.1 does a tenth
#
# TORCH=cpu (cu126, auto, ...: uv's torch backends) takes another build of torch than PyPI's. The choice is kept until another is
# made, TORCH=pypi among them, and each lays .venv anew.

PYTHON ?= python3
ROOT ?= ../shared/data/cityscapes
TORCH ?= $(or $(patsubst .venv/lab-%,%,$(firstword $(wildcard .venv/lab-*))),pypi)

BIN := .venv/bin
# Three workers on two cores: those in a browser mostly wait for it.
PYTEST := $(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder
UV := $(or $(shell command -v uv 2>/dev/null),$(BIN)/uv)
LAB := .venv/lab-$(TORCH)
TESTS := .venv/tests-$(TORCH)

ifeq ($(TORCH),pypi)
INSTALL := $(UV) sync --frozen --inexact --compile-bytecode
else
# The lock knows PyPI's builds alone: torch is then any release in its range, and all that doesn't come with it is as locked.
INSTALL := $(UV) export --frozen --quiet --no-hashes --all-groups --prune torch --prune torchvision --output-file .venv/locked.txt \
	&& $(UV) pip install --compile-bytecode --python .venv --torch-backend $(TORCH) --constraints .venv/locked.txt --requirements pyproject.toml
endif

# Compiled modules are kept even where the environment says otherwise: each process with torch would compile it anew, for 8 s.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test campaign screens film extras lock audit house benchmarks study faults chromium

run: $(LAB)
	$(BIN)/streamlit run app/main.py $(if $(ARGS),-- $(ARGS))

test: $(TESTS) chromium
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy core app pages
	$(PYTEST)

campaign: $(TESTS) chromium
	$(PYTEST) -m campaign

screens: $(TESTS) chromium
	$(PYTEST) -s -p no:xdist tests/browser/screens.py

extras: $(LAB)
	$(INSTALL) --group extras

film: $(TESTS) chromium
	$(PYTEST) -s -p no:xdist tests/browser/record.py

lock:
	$(UV) lock
	$(PYTHON) -c 'import tomllib; print("# Made by make lock, of the dependencies in pyproject.toml: change them there.", \
	*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")' > requirements.txt

audit: $(LAB)
	$(UV) audit --frozen

house:
	$(PYTHON) docs/house.py

benchmarks: $(TESTS)
	$(BIN)/python benchmarks/table.py --root $(ROOT)

study: $(LAB)
	$(BIN)/python -m core sweep start docs/study.json

faults: $(LAB)
	$(BIN)/python -m benchmarks.faults --scale $(or $(SCALE),1)

# Installed once; again only when the lock changes, or the choice of torch.
$(LAB): uv.lock
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or newer is needed; name it: make run PYTHON=python3.12')"
	$(if $(filter-out $(LAB),$(wildcard .venv/lab-*)),rm -rf .venv)
	@[ -x "$(UV)" ] || { $(PYTHON) -m venv --clear .venv && $(BIN)/python -m pip --disable-pip-version-check install --quiet uv; }
	@[ -x $(BIN)/python ] || $(UV) venv --quiet --seed --python "$$(command -v $(PYTHON))"
	@echo "Installing the lab's packages into .venv. This takes a few minutes, once."
	$(INSTALL)
	touch $@

$(TESTS): $(LAB)
	$(INSTALL) --group test
	touch $@

# Debian's where we may install it, else Playwright's own; without either, the browser tests say that they were skipped.
chromium: $(TESTS)
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
	|| { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
	     && apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; } \
	|| $(BIN)/playwright install chromium \
	|| echo "There is no Chromium: the browser tests will be skipped."
