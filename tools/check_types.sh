#!/bin/sh
# Checks the types of the Python package by mypy, as pyproject.toml asks. mypy and the NumPy whose types are read come
# from PyPI into build/types, apart from the tests' packages: the types of their NumPy 2.2 want arguments everywhere.
# `tools/check_types.sh fetch` only brings them.
set -eu
cd "$(dirname "$0")/.."
wanted="mypy==2.4.1 numpy==2.4.6 ast_serialize==0.13.1 librt==0.17.0 mypy_extensions==1.2.0 pathspec==1.1.1
typing_extensions==4.16.0"
venv=build/types/venv
if [ "$(cat build/types/packages 2>/dev/null)" != "$wanted" ]; then
    echo "fetching into build/types: $wanted" >&2
    rm -rf build/types
    mkdir -p build/types
    python3 -m venv $venv
    # shellcheck disable=SC2086  # the list is split on purpose
    $venv/bin/pip install -q --retries 10 --disable-pip-version-check --no-deps --only-binary :all: $wanted >&2
    printf '%s' "$wanted" >build/types/packages
fi
[ "${1:-}" = fetch ] || $venv/bin/mypy --cache-dir build/types/cache
