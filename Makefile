# Everything a developer or a newcomer runs. `make` lists the targets.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -q --no-compile --disable-pip-version-check
INSTALLED := $(VENV)/.installed
# A machine without an NVIDIA GPU takes torch's CPU build, so that nothing of CUDA is downloaded: from the
# configured index if that has it, else from torch's own. A GPU machine takes the default build.
TORCH := $(shell sed -n 's/^torch==//p' constraints.txt)
TORCH_CPU_INDEX ?= https://download.pytorch.org/whl/cpu
HAS_GPU := $(shell command -v nvidia-smi)
DEMO ?= demo
RUN ?= runs/quickstart
BEST ?= merged/quickstart
# Files of tests that run side by side.
TEST_PROCESSES ?= 2
PYTEST = $(BIN)/python -m pytest -q -n $(TEST_PROCESSES) --dist loadfile
SYSTEM_PACKAGES := chromium gcc git libc6-dev make postgresql python3-venv

export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1
export TOKENIZERS_PARALLELISM ?= false

.PHONY: help quickstart test test-fast lint format bench docs screenshots install system-deps clean
help: ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(INSTALLED): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing evomerge into $(VENV) (a few minutes the first time) …"
	@$(if $(HAS_GPU),,$(PIP) torch==$(TORCH)+cpu 2>/dev/null || $(PIP) --index-url $(TORCH_CPU_INDEX) torch==$(TORCH)+cpu 2>/dev/null ||) \
	 $(PIP) torch==$(TORCH)
	@$(PIP) -c constraints.txt -e '.[dev]'
	@touch $@

install: $(INSTALLED) ## Make the environment .venv and install evomerge with its development tools

quickstart: $(INSTALLED) ## Make small models, search for the best merge of them, export it and let it answer
	@$(BIN)/evomerge demo $(DEMO)
	@if [ -e $(RUN)/run.json ]; then $(BIN)/evomerge resume $(RUN); \
	 else $(BIN)/evomerge run configs/quickstart.yaml --out $(RUN); fi
	@$(BIN)/evomerge report $(RUN)
	@test -e $(BEST)/config.json || $(BIN)/evomerge export $(RUN) best --out $(BEST)
	@$(BIN)/python docs/examples/ask.py $(BEST) "reverse: glad=" "sort: glad=" "successor: glad="

test: $(INSTALLED) ## Run every test that this machine can serve
	@$(PYTEST) --durations=15

test-fast: $(INSTALLED) ## Run the unmarked tests, under a minute
	@$(PYTEST) -m "not slow and not ray and not postgres and not browser and not gpu"

lint: $(INSTALLED) ## Check style, types and the direction of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(INSTALLED) ## Format the code
	@$(BIN)/ruff check --fix -q . ; $(BIN)/ruff format .

bench: $(INSTALLED) ## Measure, as ratios to a reference in the same run; see benchmarks/RESULTS.md
	@for name in startup candidate_overhead run_overhead lm_eval_candidate merge_in_memory merge_to_disk replay \
	   memory_plan two_workers async_convergence scheduling controller routing route_export chaos; do \
	   echo "== $$name"; $(BIN)/python benchmarks/$$name.py || exit 1; done
	@echo "The quickstart over five seeds takes twenty minutes: $(BIN)/python benchmarks/quickstart.py"
	@echo "A resume of 100,000 candidates takes ten: $(BIN)/python benchmarks/controller.py --resume 10000 100000"

screenshots: $(INSTALLED) ## Take a picture of each page of the dashboard from real runs into docs/images (half an hour)
	@$(BIN)/python docs/screenshots.py

docs: $(INSTALLED) ## Write the generated references: docs/run-file.md, docs/plugins.md and configs/schema.json
	@$(BIN)/python docs/generate.py

system-deps: ## Install the Debian packages that set-up and tests need
	@missing=""; for package in $(SYSTEM_PACKAGES); do dpkg -s $$package >/dev/null 2>&1 || missing="$$missing $$package"; done; \
	 if [ -n "$$missing" ]; then apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing; fi

clean: ## Remove what quickstart and tests made; the environment stays
	rm -rf $(DEMO) $(RUN) $(BEST) .pytest_cache .mypy_cache .ruff_cache .hypothesis
