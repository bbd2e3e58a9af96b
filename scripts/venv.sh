#!/usr/bin/env bash
# Usage: venv.sh FOLDER REQUIREMENTS...
# Makes a virtual environment and installs the named pins. Called by `make`.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$1
shift

# 3.15 and newer are left out because the pinned LiteLLM refuses them.
suits='import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 15))'

find_python() {
    local name
    for name in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.14}; do
        if "$name" -c "$suits" >/dev/null 2>&1; then
            echo "$name"
            return
        fi
    done
    name=${PYTHON:-python3}
    echo "error: found no Python 3.11 to 3.14 with venv and pip ($name is" \
        "$("$name" --version 2>/dev/null || echo missing)); install one (Debian: apt install" \
        "python3-venv, macOS: brew install python@3.13) or name it: make setup PYTHON=…" >&2
    return 1
}

if ! "$venv/bin/python" -c 'import pip' >/dev/null 2>&1; then
    python=$(find_python)
    echo "==> $venv: a new environment with $("$python" --version)"
    "$python" -m venv --clear "$venv"
fi

# The files list every package, so nothing may come along unlisted; and wheels only, because
# a source distribution would run its own code at this point.
pinned=(--no-deps --require-hashes --only-binary :all:)
files=()
for name in "$@"; do
    files+=(-r "requirements/$name.txt")
done

if [ ! -x .venv/bin/uv ]; then
    echo "==> $venv: the installer"
    .venv/bin/python -m pip install -qq "${pinned[@]}" -r requirements/build.txt
fi

echo "==> $venv: $*"
# Shows what is being downloaded, but not the list of every package. Compiled here, as pip does it:
# where byte code is not kept, each process of a test or an app would compile LiteLLM anew.
if ! .venv/bin/uv pip install --compile-bytecode --python "$venv" "${pinned[@]}" "${files[@]}" 2>&1 |
    awk '!/^ ([-+~]|Downloaded) /'; then
    echo "==> $venv: once more with pip, which reads other settings; this takes a minute"
    "$venv/bin/python" -m pip install -qq "${pinned[@]}" "${files[@]}"
fi
