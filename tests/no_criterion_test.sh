#!/bin/sh
# On a machine without Criterion samc configures as it comes, with the program and without tests, and says so; asked for
# tests, it fails. no_criterion_test.sh SOURCE
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/packages"
for path in $(pkg-config --variable pc_path pkg-config | tr : ' '); do
    [ -d "$path" ] || continue
    for file in "$path"/*.pc; do
        case "$file" in */criterion.pc) ;; *) [ -e "$file" ] && ln -sf "$file" "$folder/packages/" ;; esac
    done
done
export PKG_CONFIG_LIBDIR="$folder/packages" PKG_CONFIG_PATH=

cmake -G Ninja -S "$1" -B "$folder/build" -DSAMC_CUDA=OFF >"$folder/said" 2>&1 || { cat "$folder/said"; exit 1; }
grep -q 'Tests: off, Criterion was not found' "$folder/said" ||
    { echo "does not say that tests are off"; cat "$folder/said"; exit 1; }
grep -q '^build samc-cli:' "$folder/build/build.ninja" || { echo "has no program"; exit 1; }
if grep -q api_test "$folder/build/build.ninja"; then echo "has tests without Criterion"; exit 1; fi
if cmake -S "$1" -B "$folder/build" -DSAMC_TESTS=ON >"$folder/said" 2>&1; then
    echo "SAMC_TESTS=ON is satisfied without Criterion"
    exit 1
fi
echo "no_criterion_test: passed"
