# recsearch: hyperparameter search for recommender models that never loses an epoch.
# Every target makes the environment it needs; ARGS is passed on to the command.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
BENCH  := $(VENV)/.bench
ARGS   ?=

.DEFAULT_GOAL := help
.PHONY: help env report summary test check format bench-als bench-pages bench-search bench-store prove-store clean

help: ## list the targets
	@echo "make search-<algorithm>-<dataset>  run or resume a search, then render its page"
	@echo "                         e.g. search-als-demo, search-als-ml1m, search-als-implicit-ml100k"
	@echo "make search-all-<dataset>           every search of searches/, then one table of all"
	@echo "                         e.g. search-all-ml100k ARGS=\"--trials 10\""
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-20s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "ARGS are passed on, e.g. make search-als-ml1m ARGS=\"--trials 20 --metric NDCG@10\""

env: $(READY) ## make the Python environment in .venv

$(READY): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (a few minutes the first time) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

search-%: $(READY)
	@$(BIN)/recsearch search $* $(ARGS)

search-all-%: $(READY)
	@$(BIN)/recsearch search --all --data $* $(ARGS)

summary: $(READY) ## one table of all runs
	@$(BIN)/recsearch summary $(ARGS)

report: $(READY) ## render the pages of all runs and their index
	@$(BIN)/recsearch report $(ARGS)

test: $(READY) ## run the tests
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(READY) ## lint, types and import boundaries
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_boundaries.py

format: $(READY) ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(BENCH): $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	@touch $@

bench-search: $(BENCH) ## whole searches beside LensKit's tuner and others, with the targets
	$(BIN)/python -m benchmarks.search $(ARGS)

bench-als: $(READY) ## an ALS epoch beside LensKit's, and other ways to solve, with the targets
	$(BIN)/python -m benchmarks.als $(ARGS)

bench-pages: $(READY) ## pages of 20 runs beside Optuna's plots of them, with the targets
	$(BIN)/python -m benchmarks.pages $(ARGS)

bench-store: $(READY) ## the checkpoint store beside every other tool, with the targets
	$(BIN)/python -m benchmarks.store $(ARGS)

prove-store: $(READY) ## break the store in one place at a time: a test must fail for each
	$(BIN)/python tests/store/mutations.py $(ARGS)

clean: ## remove the environment and caches; runs, store and reports stay
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
