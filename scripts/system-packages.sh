#!/usr/bin/env bash
# Usage: system-packages.sh COMMAND=DEBIAN_PACKAGE...
# Installs the packages whose command is missing.
set -euo pipefail

missing=()
for pair in "$@"; do
    command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
done
if [ ${#missing[@]} -eq 0 ]; then
    echo "==> system packages: all present"
    exit
fi

sudo=()
[ "$(id -u)" -eq 0 ] || sudo=(sudo)
if ! command -v apt-get >/dev/null || ! command -v "${sudo[0]:-true}" >/dev/null; then
    echo "error: please install these yourself (this is no Debian, or there is no sudo):" \
        "${missing[*]}" >&2
    exit 1
fi

echo "==> system packages: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
${sudo[@]+"${sudo[@]}"} apt-get update -qq
${sudo[@]+"${sudo[@]}"} apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
