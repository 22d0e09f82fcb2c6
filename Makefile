# The README's two commands are `make demo` and `make test`; CI runs the same targets.

PYTHON ?= python3
VENV ?= .venv
PIP_ARGS ?=
BIN := $(VENV)/bin
# every dependency comes as a wheel: nothing is compiled on the user's machine
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: $(PIP_ARGS)

.PHONY: demo demos test test-slow test-dev mutants wheel lint types format bench figures lab docs clean

demo: $(VENV)/.demos
	$(BIN)/python demos/main.py

demos: $(VENV)/.demos
	$(BIN)/python demos/all.py

test: $(VENV)/.test
	$(BIN)/python -m pytest -n auto

# soak tests and long fuzzing: some minutes
test-slow: $(VENV)/.test
	$(BIN)/python -m pytest -n auto -m slow

# the whole suite in Python's development mode, every warning an error
test-dev: $(VENV)/.test
	$(BIN)/python -X dev -W error -m pytest -n auto

# change the code in small ways and see whether a test notices; MUTANTS="--count 50 FILE..." for more
mutants: $(VENV)/.test
	$(BIN)/python tools/mutants.py $(MUTANTS)

# build the wheel; try it in clean environments of the oldest and the newest Python found
wheel: | $(BIN)/python
	$(BIN)/python tools/check_wheel.py

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.test
	$(BIN)/python -m benchmarks

# the figures that the README shows; the strip needs Chromium
figures: $(VENV)/.test
	$(BIN)/python -m docs.figures
	$(BIN)/python -m docs.strip

# the laboratory, lab.html: one file with Python inside; needs npm, and says so where there is none
lab: $(VENV)/.test
	$(BIN)/python tools/lab.py

docs: $(VENV)/.docs
	$(BIN)/python -m docs.build

clean:
	rm -rf $(VENV) build dist site lab.html *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --upgrade pip

# one stamp per group: pip runs again only when the dependencies change
$(VENV)/.demos: pyproject.toml | $(BIN)/python
	$(INSTALL) --editable ".[demos]"
	touch $@

$(VENV)/.%: pyproject.toml | $(BIN)/python
	$(INSTALL) --editable ".[all]" --group $*
	touch $@
