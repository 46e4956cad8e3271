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

# A click on the object of interest; for the last picture a box. One mask each (--single).
$samc segment tools/examples/cat.jpg --point 210,140 --single -o $out --format overlay,cutout >/dev/null
$samc segment tools/examples/coffee.jpg --point 300,130 --single -o $out --format overlay,cutout >/dev/null
$samc segment tools/examples/rocket.jpg --point 321,180 --single -o $out --format overlay,cutout >/dev/null
$samc segment tools/examples/astronaut.jpg --box 80,5,400,510 --single -o $out --format overlay,cutout >/dev/null
ls $out
echo "The overlays and cut-outs are in $out."
