# `make` lists what there is. Every target sets up what it needs by itself.
# Arguments pass through, as in: make test ARGS="tests/shim -x"

PY := .venv/bin/python
READY := .venv/.ready
PROVIDER := tests/real/node_modules/.pins
JOBS ?= 2

# LiteLLM would fetch its price list at import; nothing here may need a network.
export LITELLM_LOCAL_MODEL_COST_MAP := True

# Some shells and images set it (Python then keeps no byte code): each of the thousand processes
# that a run starts would compile all that it imports anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

.PHONY: setup
setup: $(READY) $(PROVIDER) ## make .venv from the pinned requirements (others do this by themselves)

# Two stamps: a change of pyproject.toml alone need not look at every pin again.
.venv/.pins: requirements/build.txt requirements/runtime.txt requirements/dev.txt requirements/apps.txt
	@scripts/venv.sh .venv build runtime dev apps
	@touch $@

$(READY): .venv/.pins pyproject.toml
	@.venv/bin/uv pip install -q --python .venv --no-deps --no-build-isolation --editable .
	@touch $@

# The OpenID provider that the tests log in at.
$(PROVIDER): tests/real/package-lock.json | $(READY)
	@scripts/npm.sh ci --loglevel=error
	@touch $@

# An app's own environment for each neighbouring LiteLLM; nothing of ours is in them.
.venv-%/.pins: requirements/apps-%.txt | .venv/.pins
	@scripts/venv.sh .venv-$* apps-$*
	@touch $@

.PHONY: setup-full
setup-full: $(READY) $(PROVIDER) .venv-oldest/.pins .venv-newest/.pins ## the same, with system packages and the LiteLLM versions
	@scripts/system-packages.sh dbus-run-session=dbus gnome-keyring-daemon=gnome-keyring \
		fish=fish zsh=zsh ssh-agent=openssh-client chromium=chromium pg_ctlcluster=postgresql

.PHONY: demo
demo: $(READY) ## see an unchanged app make a call with a key that is nowhere
	@$(PY) -m demo $(ARGS)

.PHONY: test
test: $(READY) $(PROVIDER) ## the default suite
	@$(PY) -m pytest -n $(JOBS) $(ARGS)

.PHONY: test-slow
test-slow: $(READY) $(PROVIDER) .venv-oldest/.pins .venv-newest/.pins ## the slow suite, with three LiteLLM versions
	@$(PY) -m pytest -n $(JOBS) -m slow $(ARGS)

.PHONY: check
check: $(READY) ## every gate: lint, format, types, layers, shell, lock files
	@scripts/check.sh

.PHONY: format
format: $(READY) ## format the code and fix what can be fixed
	@.venv/bin/ruff check --fix-only
	@.venv/bin/ruff format

.PHONY: bench
bench: $(READY) ## measure against ssh-agent, dotenv, Vault, AWS and a bare socket
	@$(PY) -m bench $(ARGS)

.PHONY: build
build: $(READY) ## both wheels, into dist/
	@$(PY) -m build --wheel --no-isolation --outdir dist .
	@$(PY) -m build --wheel --no-isolation --outdir dist shim

.PHONY: lock
lock: $(READY) ## lock every dependency anew, keeping pins that still fit
	@$(PY) scripts/lock.py $(ARGS)
	@$(PY) scripts/lock_npm.py

.PHONY: clean
clean: ## remove everything that can be made again
	@rm -rf .venv .venv-* dist tests/real/node_modules .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
