#!/bin/sh
# The wheel as a user has it: made of this build by pip, installed with NumPy into a fresh virtual environment, outside
# of the source tree, without PyTorch and without a network. Usage: wheel_test.sh BUILD_FOLDER SOURCE_FOLDER
# (tools/python_packages.sh was run)
set -eu
build=$1 source=$2
unset SAMC_LIBRARY_DIR PYTHONPATH PYTHONHOME || true
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
wheels=$source/build/python/wheels
"$source/build/python/venv/bin/pip" wheel -q --disable-pip-version-check --no-build-isolation --no-deps --no-index \
    -w "$scratch/dist" "$source" -Ccmake.define.SAMC_BUILT="$build" -Cbuild-dir="$scratch/build"
[ "$(ls "$scratch/dist" | wc -l)" = 1 ]
wheel=$(ls "$scratch"/dist/samc-*-py3-none-*.whl) # one for every Python
[ "$(stat -c %s "$wheel")" -le 20000000 ] || { echo "above 20 MB"; exit 1; }
python3 -m zipfile -l "$wheel" >"$scratch/files"
for file in py.typed native/share/samc/samc-tiny.safetensors; do
    grep -q "samc/$file " "$scratch/files" || { echo "the wheel has no $file"; exit 1; }
done
grep -q 'dist-info/licenses/NOTICE' "$scratch/files" || { echo "the wheel has no licences"; exit 1; }
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install -q --disable-pip-version-check --no-index -f "$wheels" "$wheel"
cd "$scratch"
export PATH="$scratch/venv/bin:/usr/bin:/bin"
# The first program of docs/python.md, on the photograph that it names.
cp "$source/tools/examples/cat.jpg" .
awk '/^```python$/ {inside = 1; next} /^```$/ {exit} inside' "$source/docs/python.md" >first.py
grep -q session first.py
python first.py >said
grep -qE '^[0-9]+ pixels' said || { echo "docs/python.md: said '$(cat said)'"; exit 1; }
python -c 'import sys, samc; assert "torch" not in sys.modules; print(samc.__version__, samc.__file__)' >said
grep -q "$scratch/venv" said
python -m samc segment cat.jpg --point 210,140 -o module -q >/dev/null
samc segment cat.jpg --point 210,140 -o script -q >/dev/null
diff -r module script
[ "$(samc --version)" = "samc $(python -c 'import samc; print(samc.__version__)')" ]
python -m samc nonsense 2>/dev/null && exit 1
[ $? = 2 ] || { echo "python -m samc passes no exit code on"; exit 1; }
echo "wheel_test: passed"
