#!/bin/sh
# Installs what samc needs on Debian 12: `tools/setup.sh` to build, `tools/setup.sh test` to build and test,
# `tools/setup.sh ci` for everything CI runs. Does nothing, and needs no root, when all of it is there. The last two
# also bring from PyPI, into build/python, what tools/python_packages.sh names, and "ci" what tools/check_types.sh does.
set -eu

packages="build-essential cmake ninja-build pkg-config
libarchive-dev libmicrohttpd-dev zlib1g-dev libjpeg62-turbo-dev libgif-dev libstb-dev libjansson-dev libssl-dev
libutf8proc-dev libcurl4-openssl-dev libwebp-dev libtiff-dev libavif-dev libheif-dev libopenjp2-7-dev libjxl-dev
liblcms2-dev libdcmtk-dev libgdal-dev"
case "${1:-}" in
    test) packages="$packages libcriterion-dev python3 git gdal-bin dicom3tools locales" ;;
    ci) packages="$packages libcriterion-dev python3 git gdal-bin dicom3tools locales clang clang-format
            libclang-rt-14-dev chromium chromium-driver webkit2gtk-driver xvfb fonts-dejavu-core" ;;
    "") ;;
    *) echo "setup.sh: unknown part '$1' (test, ci)" >&2; exit 2 ;;
esac

# tools/cuda_toolkit.sh brings CUDA's compiler by pip.
[ -z "${1:-}" ] || python3 -m pip --version >/dev/null 2>&1 || packages="$packages python3-pip"
[ -z "${1:-}" ] || python3 -c 'import ensurepip' 2>/dev/null || packages="$packages python3-venv"

# What the tests of the Python package need.
python_packages() {
    [ -z "${1:-}" ] || "$(dirname "$0")/python_packages.sh" >/dev/null
    [ "${1:-}" != ci ] || "$(dirname "$0")/check_types.sh" fetch
}

missing=""
for package in $packages; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || { python_packages "$@"; exit 0; }

echo "installing:$missing"
root=""
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "setup.sh: run as root, or install:$missing" >&2; exit 1; }
    root=sudo
fi
$root apt-get -o Acquire::Retries=5 update -q
# shellcheck disable=SC2086  # the list is split on purpose
DEBIAN_FRONTEND=noninteractive $root apt-get -o Acquire::Retries=5 install -y -q --no-install-recommends $missing
python_packages "$@"
