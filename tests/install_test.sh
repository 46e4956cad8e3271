#!/bin/sh
# Installs the build into a scratch folder and builds the complete program of samc.h against it: through pkg-config
# (shared and static) and through the CMake package. Usage: install_test.sh BUILD_FOLDER SOURCE_FOLDER
set -eu
build=$1 source=$2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# samc.pc holds the prefix that the build was configured with; the scratch one takes its place.
cmake --install "$build" --prefix "$scratch/usr" >/dev/null
pc=$(find "$scratch/usr" -name samc.pc)
libdir=$(dirname "$(dirname "$pc")")
sed -i "s|^prefix=.*|prefix=$scratch/usr|; s|^libdir=.*|libdir=$libdir|; \
        s|^includedir=.*|includedir=$scratch/usr/include|" "$pc"
export PKG_CONFIG_PATH="$libdir/pkgconfig"

# The program in the header's first comment, as a user would copy it.
sed -n '/^ \*     #include <samc.h>/,/^ \*     }$/s/^ \*     //p' "$scratch/usr/include/samc.h" >"$scratch/program.c"
grep -q 'samc_predict' "$scratch/program.c"
cp "$scratch/usr/share/samc/samc-tiny.safetensors" "$scratch"
cd "$scratch"
check() { # name, command: prints "N pixels, predicted IoU X"
    out=$(LD_LIBRARY_PATH="$libdir" "$2") || { echo "$1: failed: $out"; exit 1; }
    echo "$out" | grep -qE '^[0-9]+ pixels, predicted IoU -?[0-9.]+$' || { echo "$1: said '$out'"; exit 1; }
    echo "$1: $out"
}
cc -Wall -Wextra -Werror program.c $(pkg-config --cflags --libs samc) -o shared
check "pkg-config, shared" ./shared
libraries=$(pkg-config --static --libs samc | sed 's/-lsamc//')
cc -Wall -Wextra -Werror program.c $(pkg-config --cflags samc) "$libdir/libsamc.a" $libraries -o static
check "pkg-config, static" ./static
cat >CMakeLists.txt <<'END'
cmake_minimum_required(VERSION 3.22)
project(user C)
find_package(samc REQUIRED)
add_executable(packaged program.c)
target_link_libraries(packaged PRIVATE samc::samc)
END
cmake -S . -B user -DCMAKE_PREFIX_PATH="$scratch/usr" >/dev/null
cmake --build user >/dev/null
check "CMake package" user/packaged
"$scratch/usr/bin/samc" segment "$source/tools/examples/cat.jpg" --point 210,140 -o out --quiet >/dev/null
ls out/cat_0_0.png >/dev/null && echo "installed program: ok"
