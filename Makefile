# Every target does the set-up that it needs, in .venv. Start with `make demo`.
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# The first that runs and is new enough (a name on the path may be a version manager's stub).
PYTHON ?= $(shell for p in python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: setup demo test slow lint types format bench reproduce clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or say make PYTHON=/its/path" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev,hf,paper,vtab]' --constraint constraints.txt
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/head2toe demo --progress

# Two test processes with one thread each are far quicker than two with two.
test slow: export OMP_NUM_THREADS := 1

test: $(STAMP)
	$(BIN)/python -m pytest -n 2 -q

slow: $(STAMP)
	$(BIN)/python -m pytest -q -m slow

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/pyright

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP)
	$(BIN)/python -m benchmarks

# The paper's table, figures and page, on the folder `shared` beside the checkout; goes on from where it was stopped.
reproduce: $(STAMP)
	$(BIN)/python -m benchmarks.reproduce

clean:
	rm -rf $(VENV) build dist demo .pytest_cache .ruff_cache .hypothesis
