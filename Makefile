# The verbs of this repository; `make help` is generated from the comments after ##.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export OMP_NUM_THREADS := 1

.DEFAULT_GOAL := help
.PHONY: help setup site serve preview deploy test test-slow test-cluster test-browser check bench bench-evaluator bench-train bench-inflate bench-streams bench-entropy bench-search bench-site clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

setup: $(STAMP)  ## make the environment in .venv: one pip command, CPU torch as pinned in constraints.txt

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 setup"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt "$$(grep -m1 '^torch==' constraints.txt)" --editable '.[dev]'
	$(BIN)/python -m lab.entropy  # compiles the class-map kernel once, ahead of its first use
	@touch $@

site: setup  ## one fresh experiment on the embedded contract, then the site in public/
	$(BIN)/lab run conventional/quickstart --contract minidrive --once
	$(BIN)/python build.py
	@echo "look at it: make serve"

serve: setup  ## local preview of public/, built again whenever ledger, prose or templates change
	$(BIN)/python build.py --serve --watch

node_modules/.bin/wrangler:
	npm install --no-save --silent wrangler@4.86.0

preview: setup node_modules/.bin/wrangler  ## public/ under the host's own runtime, with no connection to outside (Node 20 and wrangler, about 195 MB)
	WRANGLER_SEND_METRICS=false CLOUDFLARE_CF_FETCH_ENABLED=false WRANGLER_HIDE_BANNER=true CI=1 \
	  node_modules/.bin/wrangler dev --ip 127.0.0.1 --port 8788 --local --show-interactive-dev-session=false

deploy: setup node_modules/.bin/wrangler  ## verify packet and site, say what would be published, ask, and publish
	$(BIN)/python build.py --deploy $(if $(CONFIRM),--confirm "$$CONFIRM")

test: setup  ## the whole test suite (two workers, one torch thread each)
	$(BIN)/python -m pytest -n 2 -m 'not slow and not bench and not browser'

BROWSER := $(VENV)/browser
export LAB_BROWSER_TOOLS := $(CURDIR)/$(BROWSER)

test-browser: setup  ## pages in a real Chromium: exact frames, axe, vnu, keyboard, no scripts, 320 px, first look
	@mkdir -p $(BROWSER)
	LAB_BROWSER=$$(bash tests/browser/tools.sh $(BROWSER) $(BIN)/python) && export LAB_BROWSER && \
	  $(BIN)/python -m pytest -n 2 --dist loadfile -rs -m browser tests/browser

test-cluster: setup  ## kill the worker, the scheduler and the driver of a real local cluster
	$(BIN)/python -m pytest -n 0 tests/search/test_cluster.py

test-slow: setup  ## the checks that take minutes
	$(BIN)/python -m pytest -n 2 -m slow

check: setup  ## lint and types
	$(BIN)/ruff check lab tests build.py
	$(BIN)/ruff format --check lab tests build.py
	$(BIN)/mypy

bench: bench-evaluator bench-train bench-streams bench-entropy bench-search bench-site  ## every side-by-side measurement

bench-evaluator: setup  ## the official evaluator against the contest's own loop, on random weights
	$(BIN)/python tests/benchmarks/bench_evaluator.py --inexact --json ledgers/benchmarks/evaluator.json

bench-train: setup  ## pairs per second of every post-filter in training, against plain eager
	$(BIN)/python tests/benchmarks/bench_train.py --json ledgers/benchmarks/train.json

bench-entropy: setup  ## class maps through general, picture, video and published coders, and ours
	$(BIN)/python tests/benchmarks/bench_entropy.py --json ledgers/benchmarks/entropy.json

bench-inflate: setup  ## the decoder of the best kept run of each family, stage by stage
	$(BIN)/python tests/benchmarks/bench_inflate.py --json ledgers/benchmarks/inflate.json

bench-streams: setup  ## poses, weights, latents and selectors beside their entropy bounds
	$(BIN)/python tests/benchmarks/bench_streams.py --json ledgers/benchmarks/streams.json

bench-search: setup  ## ranking, overhead of a dispatch, and two workers against one
	$(BIN)/python tests/benchmarks/bench_search.py --json ledgers/benchmarks/search.json

bench-site: setup  ## pages per second beside Pelican and MkDocs, and how a build grows with its ledger
	$(BIN)/python tests/benchmarks/bench_site.py --json ledgers/benchmarks/site.json

clean:  ## remove what can be made again: public/ and .cache/
	rm -rf .cache
	find public -mindepth 1 ! -name .gitignore -delete
