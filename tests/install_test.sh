#!/bin/sh
# Installs the build into a scratch folder and builds the complete programs of samc.h and samc_io.h against it: through
# pkg-config (shared and static) and through the CMake package. Usage: install_test.sh BUILD_FOLDER SOURCE_FOLDER
set -eu
build=$1 source=$2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# The .pc files hold the prefix that the build was configured with; the scratch one takes its place.
cmake --install "$build" --prefix "$scratch/usr" >/dev/null
pc=$(find "$scratch/usr" -name samc.pc)
libdir=$(dirname "$(dirname "$pc")")
sed -i "s|^prefix=.*|prefix=$scratch/usr|; s|^libdir=.*|libdir=$libdir|; \
        s|^includedir=.*|includedir=$scratch/usr/include|" "$pc" "$libdir/pkgconfig/samc_io.pc"
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
version=$(pkg-config --modversion samc)
soname=libsamc.so.${version%.*}
readelf -d "$libdir/libsamc.so" | grep -q "SONAME.*\[$soname\]" || { echo "its SONAME is not $soname"; exit 1; }
# A program compiled with an older header, whose structs end before fields that came later.
mkdir old
cut() { echo "/const char $1settings;/,/^} $2;/{/^} $2;/!d};"; } # the fields from `settings` on
sed "$(cut '\*const \*' samc_options) $(cut '\*' samc_model_info)" usr/include/samc.h >old/samc.h
(cat program.c && echo '_Static_assert(sizeof(samc_options) < 40 && sizeof(samc_model_info) < 208, "older");') >older.c
cp usr/include/samc_text.h old
cc -Wall -Wextra -Werror older.c -Iold $(pkg-config --libs samc) -o older
check "an older header" ./older
libraries=$(pkg-config --static --libs samc | sed 's/-lsamc//')
cc -Wall -Wextra -Werror program.c $(pkg-config --cflags samc) "$libdir/libsamc.a" $libraries -o static
check "pkg-config, static" ./static

# libsamc_io: the program of its header makes a COCO data set of a photograph; one of our own reads the JPEG itself and
# writes its masks.
header="$scratch/usr/include/samc_io.h"
sed -n '/^ \*     #include <samc_io.h>/,/^ \*     }$/s/^ \*     //p' "$header" >archive.c
grep -q 'samc_archive_run' archive.c
cp "$source/tests/install_io.c" .
sed -n '/^```c$/,/^```$/{/^```/d;/^$/d;p}' "$source/docs/c-api.md" | cmp - archive.c ||
    { echo "docs/c-api.md: another program than the header's"; exit 1; }
io() { # name, command: both programs write the same data set
    rm -rf out
    LD_LIBRARY_PATH="$libdir" "$2" "$source/tools/examples/cat.jpg" || { echo "$1: failed"; exit 1; }
    python3 "$source/tests/install_coco.py" out/annotations.json cat.jpg || { echo "$1: wrong data set"; exit 1; }
    [ ! -e first.json ] || cmp first.json out/annotations.json || { echo "$1: another data set"; exit 1; }
    cp out/annotations.json first.json
    echo "$1: ok"
}
cc -Wall -Wextra -Werror archive.c $(pkg-config --cflags --libs samc_io) -o archive-shared
io "samc_io, shared" ./archive-shared
libraries=$(pkg-config --static --libs samc_io | sed 's/-lsamc_io//; s/-lsamc//')
cc -Wall -Wextra -Werror install_io.c $(pkg-config --cflags samc_io) "$libdir/libsamc_io.a" "$libdir/libsamc.a" \
    $libraries -o io-static
io "samc_io, static" ./io-static
# Each exports its own names alone, libsamc needs none of what libsamc_io does, and both have names for the loader.
exported() { nm -D --defined-only "$libdir/$1" | sed 's/.* //' | sort; }
exported libsamc.so >samc.names
exported libsamc_io.so >io.names
! grep -v '^samc_[a-z]' io.names || { echo "libsamc_io exports what is not its own"; exit 1; }
[ -z "$(comm -12 samc.names io.names)" ] || { echo "exported by both: $(comm -12 samc.names io.names)"; exit 1; }
sed -n 's/^SAMC_API.*[ *]\(samc_[a-z0-9_]*\)(.*/\1/p' "$header" usr/include/samc_stream.h \
    usr/include/samc_geo.h usr/include/samc_tiles.h usr/include/samc_volume.h | sort | cmp - io.names ||
    { echo "libsamc_io exports something else than its headers declare"; exit 1; }
! readelf -d "$libdir/libsamc.so" | grep -E 'NEEDED.*(jpeg|gif|libz|jansson|archive)' || exit 1
readelf -d "$libdir/libsamc_io.so" | grep -q 'SONAME.*libsamc_io.so\.' || { echo "libsamc_io has no SONAME"; exit 1; }
echo "names of the libraries: ok"
cat >CMakeLists.txt <<'END'
cmake_minimum_required(VERSION 3.22)
project(user C)
find_package(samc REQUIRED)
add_executable(packaged program.c)
target_link_libraries(packaged PRIVATE samc::samc)
foreach(kind io io_shared)
    add_executable(${kind} archive.c)
    target_link_libraries(${kind} PRIVATE samc::${kind})
endforeach()
END
cmake -S . -B user -DCMAKE_PREFIX_PATH="$scratch/usr" >/dev/null
cmake --build user >/dev/null
check "CMake package" user/packaged
io "CMake package, samc::io" user/io
io "CMake package, samc::io_shared" user/io_shared
"$scratch/usr/bin/samc" segment "$source/tools/examples/cat.jpg" --point 210,140 -o out --quiet >/dev/null
ls out/cat_0_0.png >/dev/null && echo "installed program: ok"
