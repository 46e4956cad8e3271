#!/bin/sh
# The tests of the Python package on libraries built with AddressSanitizer, whose runtime Python loads first:
#
#   tests/python/asan.sh        builds build/asan's libraries where they are missing
#
# Leaks are not looked for: the interpreter never gives everything back. What forks without exec, and the program, which
# has the runtime in itself, are left to the other tests.
set -eu
source=$(cd "$(dirname "$0")/../.." && pwd)
python=$("$source/tools/python_packages.sh")
cd "$source"
cmake --preset asan -DSAMC_TESTS=OFF -DSAMC_CUDA=OFF >/dev/null
cmake --build --preset asan --target samc_shared samc_io_shared samc-default-model
runtime=$("${CC:-cc}" -print-file-name=libasan.so)
cd "${TMPDIR:-/tmp}"
LD_PRELOAD="$runtime" ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 SAMC_LIBRARY_DIR="$source/build/asan" \
    PYTHONPATH="$source/python" SAMC_TEST_SANITIZED=1 "$python" "$source/tests/python/package_test.py" "$@"
