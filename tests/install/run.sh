#!/bin/sh
# usage: run.sh build-folder cmake cc c++ pkg-config     (the last two may be empty)
# Installs into a scratch prefix, moves it, and builds and runs a C and a C++ program against it by
# find_package and by pkg-config.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=$1 cmake=$2 cc=$3 cxx=$4 pkg_config=$5
scratch=$build/install-test
rm -rf "$scratch"
mkdir -p "$scratch/by-pkg-config"
"$cmake" --install "$build" --prefix "$scratch/first" > "$scratch/install.log"
mv "$scratch/first" "$scratch/prefix"

if [ -x "$scratch/prefix/bin/tensorvar" ]; then
  echo "the tool"
  "$scratch/prefix/bin/tensorvar" --version
  [ -f "$scratch/prefix/share/man/man1/tensorvar.1" ]
fi

echo "by find_package"
generator=$(sed -n 's/^CMAKE_GENERATOR:INTERNAL=//p' "$build/CMakeCache.txt")
"$cmake" -S "$here" -B "$scratch/by-cmake" -G "$generator" -DCMAKE_PREFIX_PATH="$scratch/prefix" \
  -DCMAKE_C_COMPILER="$cc" ${cxx:+-DCMAKE_CXX_COMPILER="$cxx"} -DWITH_CXX="${cxx:+ON}" \
  > "$scratch/configure.log" || { cat "$scratch/configure.log"; exit 1; }
"$cmake" --build "$scratch/by-cmake" > "$scratch/build.log" || { cat "$scratch/build.log"; exit 1; }
for program in "$scratch"/by-cmake/consumer_*; do "$program"; done

[ -n "$pkg_config" ] || { echo "by pkg-config: left out, there is none"; exit 0; }
echo "by pkg-config"
lib=$(dirname "$(find "$scratch/prefix" -name tensorvar.pc)")
export PKG_CONFIG_PATH="$lib"
lib=$(dirname "$lib")
flags=$("$pkg_config" --cflags --libs tensorvar)
static="$("$pkg_config" --cflags tensorvar) $lib/libtensorvar.a"
static="$static $("$pkg_config" --static --libs tensorvar | sed 's/-ltensorvar//')"
cd "$scratch/by-pkg-config"
# The flags are lists of words.
# shellcheck disable=SC2086
{
  "$cc" -std=c11 "$here/consumer.c" $flags -Wl,-rpath,"$lib" -o shared_c
  "$cc" -std=c11 "$here/consumer.c" $static -o static_c
  [ -z "$cxx" ] || "$cxx" -std=c++17 "$here/consumer.cpp" $flags -Wl,-rpath,"$lib" -o shared_cxx
}
for program in ./*; do "$program"; done
