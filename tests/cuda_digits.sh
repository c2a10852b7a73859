#!/bin/sh
# The main job on a CUDA device: train_digits learns there what it learns on the CPU, bit for bit where
# products add in the same order (the fake driver and the CPU's own loops); without a driver it says so
# in one sentence and ends with 1.
#     cuda_digits.sh TRAIN_DIGITS DATA FAKE_DRIVER_FOLDER
set -eu
train=$1 data=$2 fake=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/cpu" "$work/cuda"

TV_OPENBLAS=none "$train" --epochs 6 --plain "$data" "$work/cpu" > "$work/cpu.txt"
TV_CUDA_LIBS=$fake LD_LIBRARY_PATH=$fake "$train" --device cuda --epochs 6 --plain "$data" "$work/cuda" > "$work/cuda.txt"
accuracy() { sed -n 's/.*"test_accuracy": \([0-9.]*\).*/\1/p' "$1"; }
echo "test accuracy: $(accuracy "$work/cpu.txt") on the CPU, $(accuracy "$work/cuda.txt") on cuda"
[ -n "$(accuracy "$work/cpu.txt")" ] && [ "$(accuracy "$work/cpu.txt")" = "$(accuracy "$work/cuda.txt")" ]
for file in w1 b1 w2 b2 predictions; do cmp "$work/cpu/$file.npy" "$work/cuda/$file.npy"; done

if ldconfig -p 2> /dev/null | grep -q 'libcuda\.so\.1'; then
  echo "there is a driver here: what is said without one is not looked at"
  exit 0
fi
status=0
"$train" --device cuda --plain "$data" "$work/cuda" > "$work/out" 2> "$work/err" || status=$?
cat "$work/err"
[ "$status" -eq 1 ] && [ ! -s "$work/out" ] && [ "$(wc -l < "$work/err")" -eq 1 ]
grep -q '^train_digits: cuda: no NVIDIA driver here: libcuda\.so\.1' "$work/err"
