# The two commands of the README are `make demo` and `make test`.
# PYTHON=... chooses the interpreter (3.10 or later), VENV=... where its environment lies.

PYTHON ?= python3
VENV ?= .venv
# Test files side by side. A fit runs as many chains at once as there are processors besides.
JOBS ?= 2
BIN = $(VENV)/bin

.PHONY: demo test test-slow lint types toolchain pictures wheel clean
.DEFAULT_GOAL := demo

demo: $(VENV)/.installed toolchain
	$(BIN)/hiermodels install-cmdstan
	$(BIN)/hiermodels demo

test: $(VENV)/.installed-for-tests $(VENV)/.installed-engines toolchain lint types
	$(BIN)/hiermodels install-cmdstan
	$(BIN)/hiermodels compile
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder -m "not slow"

# What takes longer than a test run should: all of a kind, large sizes, the wheel.
test-slow: $(VENV)/.installed-for-tests $(VENV)/.installed-engines toolchain
	$(BIN)/hiermodels install-cmdstan
	$(BIN)/hiermodels compile
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m slow

lint: $(VENV)/.installed-for-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-for-tests
	$(BIN)/mypy

toolchain:
	@command -v "$${CXX:-g++}" >/dev/null 2>&1 \
	    || command -v c++ >/dev/null 2>&1 || command -v clang++ >/dev/null 2>&1 || { \
	    echo "error: there is no C++ compiler, and Stan programs need one; install it with:" \
	         "apt-get install g++ make (Debian, Ubuntu), xcode-select --install (macOS)" >&2; \
	    exit 2; }

$(VENV)/bin/python: | toolchain
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	    echo "error: Python 3.10 or later is needed, got $$($(PYTHON) --version 2>&1);" \
	         "name another with make PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	    echo "error: $(PYTHON) could not make a virtual environment; on Debian and Ubuntu" \
	         "install it with: apt-get install python3-venv" >&2; exit 2; }

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[data]'
	@touch $@

$(VENV)/.installed-for-tests: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@ $(VENV)/.installed

# Other engines of data frames: Spark alone is 400 MB, and needs Java.
$(VENV)/.installed-engines: pyproject.toml | $(VENV)/.installed-for-tests
	@command -v java >/dev/null 2>&1 || { \
	    echo "error: the tests run a local Spark, which needs Java; on Debian and Ubuntu install it" \
	         "with: apt-get install openjdk-17-jre-headless" >&2; exit 2; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,engines]'
	@touch $@

# A wheel for this platform in dist/, with the executables of all programs: where it is installed,
# a fit needs no compiler and no CmdStan. A program that is in the cache is not compiled again.
wheel: $(VENV)/.installed toolchain
	$(BIN)/hiermodels install-cmdstan
	$(BIN)/hiermodels compile
	rm -f dist/hiermodels-*.whl
	HATCH_BUILD_HOOK_ENABLE_CUSTOM=true $(BIN)/python -m pip wheel --quiet \
	    --disable-pip-version-check --no-deps --wheel-dir dist .
	@ls -l dist/hiermodels-*.whl

# The pictures of the README.
pictures: $(VENV)/.installed
	$(BIN)/python docs/pictures.py

clean:
	rm -rf $(VENV) .venv-* build dist demo .pytest_cache .mypy_cache .ruff_cache

# hiermodels side by side with other packages, each in an environment of its own (build/bench);
# some hours. One case alone: python -m benchmarks.run --case exam, then python -m benchmarks.report.
.PHONY: bench
bench: $(VENV)/.installed-for-tests toolchain
	$(BIN)/hiermodels install-cmdstan
	$(BIN)/python -m benchmarks.environments
	$(BIN)/python -m benchmarks.choose --scale 0.02 --limit 300
	$(BIN)/python -m benchmarks.run --rounds 3
	$(BIN)/python -m benchmarks.report

# Every program and engine by simulation from its own prior; an hour. It goes on where it stopped.
.PHONY: calibration
calibration: $(VENV)/.installed-for-tests toolchain
	$(BIN)/hiermodels install-cmdstan
	$(BIN)/hiermodels compile
	$(BIN)/python -m benchmarks.calibration

# Inputs that reach new code in the reading of files, priors and command lines (Atheris, Linux).
# It fails on what it finds; make fuzz SECONDS=60 looks for a minute.
SECONDS ?= 600
.PHONY: fuzz
fuzz: $(VENV)/.installed-for-tests
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'atheris>=3.0'
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS)
