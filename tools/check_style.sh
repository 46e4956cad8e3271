#!/bin/sh
# Style and structure: whitespace, file length, who may include what, who may read the environment, print or exit.
# Prints every violation and ends with 1 if there was one.
set -eu
cd "$(dirname "$0")/.."
bad=0
report() { echo "$1"; bad=1; }
tracked() { git ls-files --cached --others --exclude-standard -- "$@"; }

for file in $(tracked '*.c' '*.h' '*.cpp' '*.cu' '*.cuh' '*.py' '*.sh' '*.md' '*CMakeLists.txt' '.ci/run'); do
    [ -f "$file" ] || continue
    grep -nP ' +$' "$file" >/dev/null && report "$file: trailing white space"
    grep -nP '[\x{200b}-\x{200f}\x{202a}-\x{202e}\x{2060}\x{feff}]' "$file" >/dev/null &&
        report "$file: invisible character"
    [ -z "$(tail -c 1 "$file")" ] || report "$file: no newline at the end"
done
for file in $(tracked '*.c' '*.h' '*.cc' '*.cpp' '*.cu' '*.cuh'); do
    [ -f "$file" ] || continue
    lines=$(wc -l <"$file")
    [ "$lines" -le 600 ] || report "$file: $lines lines, at most 600"
    grep -nP '\t' "$file" >/dev/null && report "$file: tab"
    head -n 1 "$file" | grep -qE '^(/\*|//)' || report "$file: does not open with a comment that says what it is"
    grep -nwE 'TODO|FIXME|XXX' "$file" >/dev/null && report "$file: unfinished"
done
if command -v clang-format >/dev/null; then
    found=$(tracked '*.c' '*.h' '*.cc' '*.cpp' '*.cu' '*.cuh' | xargs clang-format --dry-run 2>&1 |
        grep -o '^[^ ]*: warning' || true)
    [ -z "$found" ] || report "not as clang-format writes it:
$found"
fi

# Includes point downwards: base <- {kernels, weights} <- runtime/model <- runtime <- host/io <- host/serve <- host/cli.
# The public headers lie below everything, and programs have nothing else.
base='runtime/(samc|base/[a-z_]+)\.h'
check_includes() { # folder, allowed pattern
    for file in $(tracked "$1/*.c" "$1/*.h" "$1/*.cu" "$1/*.cuh" | grep -vE '/(cross_)?cases\.[ch]$'); do # tests
        [ -f "$file" ] || continue
        grep -nE '^#include "' "$file" | grep -vE "\"($2)" |
            while read -r line; do echo "$file: $1 may not include $line"; done
    done
}
found=$(check_includes runtime/base "$base"; check_includes kernels "kernels/|$base"
        check_includes weights "weights/|$base"
        check_includes runtime/model "runtime/model/|kernels/|weights/|$base"
        check_includes runtime "runtime/|kernels/|weights/|samc(_text)?\.h"
        check_includes host/io "host/io/|samc_(io|stream|geo|tiles|volume)\.h|$base"
        check_includes host/serve "host/serve/|host/io/samc_io\.h"
        check_includes host/cli "host/cli/|host/serve/serve\.h|host/io/samc_io\.h")
[ -z "$found" ] || report "$found"

found=$(tracked 'kernels/*.c' 'weights/*.c' 'runtime/*.c' 'host/io/*.c' | grep -v '/cases\.c$' |
        xargs grep -nE '\b(getenv|exit|abort|printf|puts|perror) *\(' |
        grep -vE '^runtime/options.c:[0-9]+:.*getenv' || true)
[ -z "$found" ] || report "a library prints, exits or reads the environment:
$found"
# Numbers as text go through runtime/base/decimal.h: a program around the library may have called setlocale().
found=$(tracked 'kernels/*.c' 'weights/*.c' 'runtime/*.c' 'host/io/*.c' 'host/io/*.cc' |
        grep -vE '/cases\.c$|^runtime/base/decimal\.c$' | xargs grep -PzoH \
        '(?s)\b(strto(d|f|ld)|atof|v[a-z]*printf)\((?!\))|\b([a-z]*printf|sscanf)\([^;]*?%[-+ #0-9.*]*[lL]?[aefgAEFG]' |
        tr '\0' '\n' | grep -aE '^[a-z_/]+\.cc?:' || true)
[ -z "$found" ] || report "a number as text by the process' locale (runtime/base/decimal.h):
$found"
found=$(git grep -nE '(^|[^A-Za-z0-9_])/(work|root|home)/' -- . ':!tools/check_style.sh' || true)
[ -z "$found" ] || report "absolute paths of a machine:
$found"
# Files above 1 MB are listed with the sum of their bytes and the reason; of weights, the reason is what they reach on
# held-out pictures.
found=$(tracked | while read -r file; do
    [ -f "$file" ] && [ "$(stat -c %s "$file")" -gt 1000000 ] || continue
    sum=$(sha256sum "$file")
    grep -qF "${sum%% *}  $file  " tools/large_files.txt ||
        echo "$file: above 1 MB, and not with these bytes in tools/large_files.txt"
done)
[ -z "$found" ] || report "$found"
found=$(python3 tools/house.py --check 2>&1) || report "$found"
found=$(python3 tests/emu/budget/kernel_table.py 2>&1) || report "$found"
found=$(python3 tools/python_abi.py --check 2>&1) || report "$found"
found=$(python3 tools/notice.py --check 2>&1) || report "$found"
[ "$bad" = 0 ] && echo "style: ok"
exit $bad
