# Everything a contributor or a machine runs, from a fresh clone. `make` alone lists the targets.

PYTHON      ?= python3
PYTEST_ARGS ?=
BENCH_ARGS  ?=
LOCKED      ?=

# tools of dist, release and lock, each in an environment of its own
BUILD  := build>=1.2,<2
BILL   := cyclonedx-bom>=7,<8
LOCKER := uv>=0.9,<1

VENV  := .venv
STAMP := $(VENV)/.made-from-pyproject
BIN   := $(VENV)/bin

COVERAGE := --cov --cov-report=term-missing:skip-covered

SHELL       := bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS   += --no-print-directory
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help venv test check format types nightly deep mutants demo manual bench bench-scaling bench-speed bench-limits zoo dist release lock \
	wheel-test clean

help:  ## list the targets
	@awk -F ':.*  ## ' '/^[a-z-]+:.*  ## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

venv: $(STAMP)  ## make the environment .venv; LOCKED=1 takes the versions of dev.lock

$(STAMP): pyproject.toml setup.py $(wildcard backends/kernels/*.[ch])
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "cimc needs Python 3.11 or newer, this is %d.%d; try make PYTHON=python3.11" % sys.version_info[:2])'
	@echo "making the environment $(VENV) (once; a few minutes on a slow connection)"
	@$(PYTHON) -m venv $(VENV) || { echo "python3 -m venv failed: on Debian and Ubuntu, install python3-venv" >&2; exit 1; }
	@test -z "$(LOCKED)" || $(BIN)/python -m pip install --quiet --require-hashes --requirement dev.lock
	@$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

test: $(STAMP)  ## run the test suite; PYTEST_ARGS="-k name" narrows it
	@$(BIN)/pytest -q -n 2 $(PYTEST_ARGS)

check: $(STAMP)  ## format, lint, types and tests: what a change must pass
	@$(BIN)/ruff format --check --output-format concise --quiet . || { echo "run make format" >&2; exit 1; }
	@$(BIN)/ruff check --output-format concise --quiet .
	@$(MAKE) types
	@$(MAKE) test

format: $(STAMP)  ## format the code and sort its imports
	@$(BIN)/ruff check --quiet --select I --fix .
	@$(BIN)/ruff format --quiet .

types: $(STAMP)  ## check the types strictly, over a link tree of the four folders
	@rm -rf build/types && mkdir -p build/types/cimc
	@cd build/types/cimc && ln -s ../../../compiler/* ../../../passes ../../../backends ../../../isa .
	@$(BIN)/mypy | sed -E 's#^build/types/cimc/(passes|backends|isa)/#\1/#; s#^build/types/cimc/#compiler/#'

nightly: $(STAMP)  ## run every test, the slow ones as well; print the branches of isa/, number rules, noise and loaders that none takes
	@PROGRAMS=10000 FUZZ_SECONDS=60 $(BIN)/pytest -q -n 2 -m "nightly or not nightly" $(COVERAGE) $(PYTEST_ARGS)

deep: $(STAMP)  ## hold 100,000 random programs against every executor, damage files for two hours; some hours
	@PROGRAMS=100000 FUZZ_SECONDS=600 $(BIN)/pytest -q tests/backends/test_random_programs.py tests/fuzzing $(PYTEST_ARGS)

mutants: $(STAMP)  ## break the semantic core in 300 seeded places and ask the tests; BENCH_ARGS="--only noise"
	@$(BIN)/python samples/bench/mutants.py $(BENCH_ARGS)
	@$(BIN)/python samples/bench/mutants.py --table

demo: $(STAMP)  ## compile, run, score and verify the sample model
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python samples/demo.py

manual: $(STAMP)  ## regenerate docs/isa.md, docs/operators.md, docs/cost-validation.md and docs/known-answers.json
	@mkdir -p build docs
	@$(BIN)/python -m cimc.isa.manual > build/isa.md
	@mv build/isa.md docs/isa.md
	@$(BIN)/python -m cimc.frontend.support > build/operators.md
	@mv build/operators.md docs/operators.md
	@$(BIN)/python -m cimc.backends.cost.validation.page > build/cost-validation.md
	@mv build/cost-validation.md docs/cost-validation.md
	@$(BIN)/python -m cimc.bringup.known_answers > build/known-answers.json
	@mv build/known-answers.json docs/known-answers.json

bench: $(STAMP)  ## measure compile time, memory and start-up; BENCH_ARGS="MODEL.onnx CALIB.npz" for another model
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python samples/bench/compiling.py $(BENCH_ARGS)

bench-scaling: $(STAMP)  ## measure compile time and memory over model size; BENCH_ARGS="resnet dense chain zoo --json FILE"
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python samples/bench/scaling.py $(BENCH_ARGS)

bench-speed: $(STAMP)  ## measure the interpreter against onnxruntime; BENCH_ARGS="--models FOLDER" for real models
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python samples/bench/speed.py $(BENCH_ARGS)

bench-limits: $(STAMP)  ## what the kernels' instructions can do at most here, and where the time goes; BENCH_ARGS="--models FOLDER"
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python samples/bench/limits.py $(BENCH_ARGS)

zoo: $(STAMP)  ## compile, run and verify the networks of the onnx package at full size; BENCH_ARGS="--models NAME"
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python samples/bench/zoo.py $(BENCH_ARGS)

dist:  ## build the source archive, and the wheel from it, into dist/
	@rm -rf dist build/lib build/bdist.*
	@$(PYTHON) -m venv build/dist
	@build/dist/bin/python -m pip install --quiet '$(BUILD)'
	@build/dist/bin/python -m build --outdir dist . > build/dist.log 2>&1 || { tail -20 build/dist.log >&2; exit 1; }

release: dist  ## dist, with a bill of materials (CycloneDX) of what the wheel installs, and SHA-256 sums
	@$(PYTHON) -m venv build/release
	@build/release/bin/python -m pip install --quiet dist/cimc-*.whl
	@build/dist/bin/python -m pip install --quiet '$(BILL)'
	@build/dist/bin/cyclonedx-py environment --output-reproducible --pyproject pyproject.toml --of JSON -o dist/cimc.cdx.json build/release/bin/python
	@cd dist && sha256sum cimc* > SHA256SUMS && cat SHA256SUMS

lock:  ## write anew what `make venv LOCKED=1` installs: every version and hash, for all systems and Pythons
	@$(PYTHON) -m venv build/lock
	@build/lock/bin/python -m pip install --quiet '$(LOCKER)'
	@build/lock/bin/uv pip compile --quiet --universal --extra dev --generate-hashes --no-header --upgrade -o dev.lock pyproject.toml

wheel-test: dist  ## run the suite against the wheel, made from the source archive, in a clean environment
	@rm -rf build/wheel && mkdir -p build/wheel/away
	@$(PYTHON) -m venv build/wheel/venv
	@build/wheel/venv/bin/python -m pip install --quiet "$$(echo dist/cimc-*.whl)[dev]"
	@cd build/wheel/away && ../venv/bin/pytest -q -n 2 -c ../../../pyproject.toml --rootdir ../../.. ../../../tests $(PYTEST_ARGS)

clean:  ## remove the environment, builds and caches
	@rm -rf $(VENV) build dist cimc.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find compiler passes backends isa tests samples -name __pycache__ -type d -prune -exec rm -rf {} +
