#!/bin/sh
# usage: tool.sh program data-folder
# The command line tool without Python: each command once, on the data of the tree, so that it runs
# under the sanitizers too. What it prints is compared in conformance/test_tool.py.
set -eu
tool=$1 data=$(cd "$2" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

# gives status command...
gives() {
  wanted=$1
  shift
  status=0
  "$tool" "$@" > out 2> err || status=$?
  [ "$status" -eq "$wanted" ] && return
  echo "tensorvar $*: status $status, not $wanted" >&2
  cat out err >&2
  exit 1
}
# has text: in what was printed.
has() {
  grep -qF -- "$1" out err && return
  echo "no \"$1\" in what was printed:" >&2
  cat out err >&2
  exit 1
}

x=$data/digits_images.npy y=$data/diabetes_features.npy
gives 0 --help
gives 0 --version
gives 2
gives 2 infi "$x"
gives 2 info --nonsense "$x"
gives 3 info none.npy

gives 0 info "$x"
has 'uint8'
has '(1797, 8, 8), C order'
gives 0 info --json "$x" "$y"
gives 0 show "$x" --slice '0, :2'
has 'array([[ 0,  0,  5, 13,  9,  1,  0,  0],'
gives 0 show --json "$x" --slice '-1, 0'
has '"shape": [8]'
gives 0 head -n 1 "$y"
gives 0 head - < "$x"
gives 3 show "$x" --slice 5000
has 'index 5000 is out of range'
head -c 1000 "$x" > short.npy
gives 3 info short.npy
gives 3 show "$x:w"

gives 0 stats "$x"
has 'count  115008'
gives 0 stats --axis 0 "$y" --json
gives 0 stats "$x" --slice '::100' --quantiles 0.1,0.9
gives 2 stats "$x" --quantiles 2

gives 0 diff "$x" "$x"
gives 1 diff "$x" "$y" --json
gives 1 diff "$y" "$data/cancer_features.npy"
has 'shapes are'
gives 3 diff "$x" none.npy

gives 0 convert "$y" f32.npy --dtype f32
has 'inexact'
gives 3 convert "$y" exact.npy --dtype f32 --refuse inexact
[ ! -e exact.npy ]
gives 0 convert f32.npy a.npz --as x
gives 0 convert a.npz a.safetensors
gives 0 diff f32.npy a.safetensors:x
gives 0 convert f32.npy swapped.npy --order F --endian big
gives 0 diff f32.npy swapped.npy --rtol 0 --atol 0
gives 0 convert - - --slice 0 < f32.npy
gives 2 convert a.npz out.nothing
gives 0 concat two.npy f32.npy f32.npy --json
has '"shape": [884, 10]'
gives 3 concat two.npy f32.npy "$x"

"$tool" plot "$x" digit.png --slice 0 > out 2> err || true
if grep -qF 'without libpng' err; then
  gives 3 plot "$x" digit.png --slice 0
else
  gives 0 plot "$x" digit.png --slice 0
  gives 0 plot "$y" column.png --slice ':, 2' --json
  gives 0 plot "$x" all.png --histogram --bins 17
fi
gives 2 plot "$x" none.png

gives 0 bench "$y" --runs 2 --scratch .
has 'of memcpy'
gives 3 bench "$y" --scratch ./none
[ -z "$(find . -name 'tensorvar-bench*')" ]
