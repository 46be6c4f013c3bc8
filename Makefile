# Every chore goes through here; each target works from a fresh clone with python3 >= 3.11 and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
FRAMEWORKS := langchain,langgraph,openai-agents,pydantic-ai,llama-index,agent-framework,smolagents
EXTRAS := local,structured,stemming,records,chroma,static,minilm,documents,openai,anthropic,postgres,serve,inspector,mcp,otel,$(FRAMEWORKS),dev
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
export HF_HUB_OFFLINE = 1

.PHONY: help install demo test test-slow test-adapters lint format bench docs site clean

help:
	@echo "make demo       replay a real agent conversation under a tight window, then ask the local model"
	@echo "make test       the whole quick test tier"
	@echo "make test-slow  the long campaigns (kills, big tables of cases)"
	@echo "make test-adapters  frameworks that clash with others, each in an environment of its own"
	@echo "make lint       ruff, mypy, pyright, import-linter, generated docs"
	@echo "make site       the documentation as a site, in site/"
	@echo "make bench      the benchmarks of docs/benchmarks.md"

$(VENV)/.installed: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet uv || echo "uv is not to be had: using pip"
	@if $(BIN)/python -m uv --version >/dev/null 2>&1; then \
	  $(BIN)/python -m uv pip install --quiet --python $(BIN)/python -c constraints.txt -e ".[$(EXTRAS)]"; \
	else \
	  $(BIN)/python -m pip install --quiet -c constraints.txt -e ".[$(EXTRAS)]"; \
	fi
	@touch $@

install: $(VENV)/.installed

demo: install
	@$(BIN)/contextkit demo

test: install
	@$(BIN)/python -m pytest -m "not slow" -n 2 --dist worksteal

test-slow: install
	@$(BIN)/python -m pytest -m slow

test-adapters: install
	@$(BIN)/python tests/adapters/apart/run.py

lint: install
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/pyright
	@$(BIN)/lint-imports
	@$(BIN)/python docs/generate.py --check

format: install
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

docs: install
	@$(BIN)/python docs/generate.py

site: install
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build

bench:
	@test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	@.venv-bench/bin/python -m pip install --quiet -c constraints.txt -e . \
	  langchain-core agent-framework-core
	@.venv-bench/bin/python docs/bench/turn.py --million

clean:
	rm -rf $(VENV) .venv-bench .venv-adapters site build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
