#!/bin/sh
# Installs what is missing, builds samc and segments the example photographs with the default model.
# The overlays are left in out/demo.
set -eu
cd "$(dirname "$0")/.."
tools/setup.sh
cmake --preset release -DSAMC_TESTS=OFF >/dev/null
cmake --build --preset release
samc=build/release/bin/samc
out=out/demo

# Clicks and boxes, one mask each; --format overlay shows the prompt with its mask, cutout the object alone.
segment() { $samc segment "tools/examples/$1" "$2" "$3" --single -o $out --format overlay,cutout >/dev/null; }
segment astronaut.jpg --point 224,90  # the head
segment cat.jpg --point 166,100       # an eye
segment coffee.jpg --box 170,15,415,290
segment rocket.jpg --box 305,95,345,420
rm -rf $out/auto # samc auto refuses to mix two runs in one folder
$samc auto tools/examples/coffee.jpg -o $out/auto --format overlay >/dev/null
ls $out $out/auto
echo "The overlays and cut-outs are in $out."
