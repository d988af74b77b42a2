# Two commands do everything: `make demo` and `make test`. Both work offline apart from the package registry.
PYTHON ?= python3
BIN := .venv/bin
SEED ?= 0

.PHONY: demo test test-extras lint clean

demo: .venv/installed
	$(BIN)/demur run --out runs/demo-seed$(SEED) --seed $(SEED)

# Two processes of one thread each, a file of tests to each at a time.
test: .venv/installed-dev lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

# Inspect and lm_eval, which nothing else needs.
test-extras: .venv/installed-extras
	$(BIN)/python -m pytest tests/extras

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf .venv runs dist build .pytest_cache .ruff_cache .mypy_cache

# constraints.txt keeps torch at the last release whose plain build runs on a CPU without gigabytes of CUDA packages.
.venv/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

.venv/installed-extras: .venv/installed-dev
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,inspect,lm-eval]'
	touch $@
