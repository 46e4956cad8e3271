#!/bin/sh
# Brings from PyPI what the Python package and the tests need, as wheels in build/python/wheels and installed in the
# virtual environment build/python/venv: NumPy, scikit-build-core to build wheels with, and nibabel, pydicom and
# highdicom, which read medical files without samc. Does nothing when they are there. Prints the Python to run the tests
# with.
set -eu
cd "$(dirname "$0")/.."
wanted="numpy==2.2.6 scikit-build-core==1.1.2 packaging==26.4 pathspec==1.1.1 tqdm==4.70.1
nibabel==5.4.2 importlib_resources==7.1.0 typing_extensions==4.16.0 pydicom==3.0.2 highdicom==0.28.2 pyjpegls==1.5.1
pillow==12.1.1 pylibjpeg==2.1.0 pylibjpeg-libjpeg==2.4.0 pylibjpeg-openjpeg==2.5.0"
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
