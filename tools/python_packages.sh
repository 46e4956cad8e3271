#!/bin/sh
# Brings from PyPI what the Python package and its tests need: NumPy, and scikit-build-core to build wheels with, as
# wheels in build/python/wheels and installed in the virtual environment build/python/venv. Does nothing when they are
# there. Prints the Python to run the tests with.
set -eu
cd "$(dirname "$0")/.."
wanted="numpy==2.2.6 scikit-build-core==1.1.2 packaging==26.4 pathspec==1.1.1 tqdm==4.70.1"
venv=build/python/venv
if [ "$(cat build/python/packages 2>/dev/null)" != "$wanted" ]; then
    echo "fetching into build/python: $wanted" >&2
    rm -rf build/python
    mkdir -p build/python
    # shellcheck disable=SC2086  # the list is split on purpose
    python3 -m pip download -q --retries 10 --disable-pip-version-check --no-deps -d build/python/wheels $wanted >&2
    python3 -m venv $venv
    # shellcheck disable=SC2086
    $venv/bin/pip install -q --disable-pip-version-check --no-index --no-deps -f build/python/wheels $wanted >&2
    printf '%s' "$wanted" >build/python/packages
fi
echo "$PWD/$venv/bin/python"
