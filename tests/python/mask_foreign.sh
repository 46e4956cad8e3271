#!/bin/sh
# Somebody else's test of a module with pycocotools.mask's functions, run on samc.mask with the import alone changed:
#
#   tests/python/mask_foreign.sh FILE [PYTHON]       FILE: test_mask_parity.py of github.com/derekallman/hotcoco
#
# PYTHON has numpy, pycocotools and pytest; the libraries are build/release's.
set -eu
file=$1 python=${2:-python3}
source=$(cd "$(dirname "$0")/../.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
sed 's/^from hotcoco import mask as /from samc import mask as /' "$file" >"$scratch/test_foreign.py"
grep -q '^from samc import mask' "$scratch/test_foreign.py" || { echo "$file: does not import hotcoco.mask"; exit 1; }
SAMC_LIBRARY_DIR=$source/build/release PYTHONPATH=$source/python "$python" -m pytest -q -p no:cacheprovider "$scratch"
