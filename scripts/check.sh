#!/usr/bin/env bash
# Every gate, one after the other; all of them run even if one fails.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
export PATH="$PWD/.venv/bin:$PATH"
export PYRIGHT_PYTHON_IGNORE_WARNINGS=1 # it would ask the network for a newer pyright

failed=()
gate() {
    local start=$SECONDS name=$1
    shift
    echo "==> $name"
    "$@" || failed+=("$name")
    echo "    $((SECONDS - start)) s"
}

shell_scripts() {
    git ls-files -z --cached --others --exclude-standard |
        xargs -0 grep -lIE '^#!.*[/ ](ba|da)?sh( |$)' 2>/dev/null
}

check_shell() {
    shell_scripts | tr '\n' '\0' | xargs -0 shellcheck
}

gate "ruff check" ruff check --output-format concise
gate "ruff format" ruff format --check --output-format concise
for platform in linux darwin; do
    # A cache each, or every run would throw the other's away.
    gate "mypy, $platform" mypy --platform "$platform" --cache-dir ".mypy_cache/$platform"
    # The shim's floor is 3.9; 3.10 is the oldest that mypy knows. pyright checks 3.9.
    gate "mypy, $platform, the shim on its oldest Python" mypy --platform "$platform" \
        --cache-dir ".mypy_cache/$platform-shim" --python-version 3.10 shim
done
gate "pyright, Linux" pyright --pythonplatform Linux
gate "pyright, Darwin" pyright --pythonplatform Darwin
gate "import layers" lint-imports --no-logo
gate "shellcheck" check_shell
gate "lock files" python scripts/lock.py --check
gate "lock file of npm" python scripts/lock_npm.py --check

if [ ${#failed[@]} -gt 0 ]; then
    printf 'FAILED: %s\n' "${failed[@]}"
    exit 1
fi
echo "all gates passed"
