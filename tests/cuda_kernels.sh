#!/bin/sh
# What can be seen of the kernels without a GPU: cuda_kernels.sh FOLDER MODULE IMAGE...
#   * the vector kernels move 16 bytes at a time, by their PTX
#   * registers and spills stay within a budget, by what ptxas says
#   * the module is under 3 MB
set -eu
folder=$1 module=$2
shift 2
status=0
say() {
  echo "$*"
  status=1
}

# At most 128 registers, so that two blocks of 256 threads fit a multiprocessor (sort_small is one block,
# all by itself), and no spill. The slow paths of sin, cos and pow have a frame of at most 72 bytes.
for image; do
  awk -v image="$image" '
    /Compiling entry function/ { split($0, part, "\047"); name = part[2] }
    /bytes spill stores/ { frame = $1; spills = $5 }
    /Used [0-9]+ registers/ {
      for (i = 1; i < NF; i++) if ($i == "Used") registers = $(i + 1)
      count++
      if (registers > most) { most = registers; who = name }
      if (registers > 128 && name != "sort_small") print "registers: " name " uses " registers
      if (spills > 0) print "spills: " name " spills " spills " bytes"
      if (frame > 72) print "frame: " name " has one of " frame " bytes"
    }
    END { printf "# %s: %d kernels, at most %d registers (%s)\n", image, count, most, who }
  ' "$folder/$image/usage.txt" > "$folder/$image/budget.txt"
  grep '^#' "$folder/$image/budget.txt"
  ! grep -v '^#' "$folder/$image/budget.txt" || status=1
done

# wide NAME IMAGE: 16-byte loads and stores.
wide() {
  body=$(awk -v name="$1" '$0 ~ "\\.entry " name "\\(" { on = 1 } on { print } on && /^}/ { exit }' \
    "$folder/$2/kernels.ptx")
  [ -n "$body" ] || { say "PTX: there is no $1"; return; }
  echo "$body" | grep -qE 'ld\.global(\.nc)?\.(v4\.[a-z]*32|v2\.[a-z]*64)' || say "PTX: $1 has no 16-byte load"
  echo "$body" | grep -qE 'st\.global\.(v4\.[a-z]*32|v2\.[a-z]*64)' || say "PTX: $1 has no 16-byte store"
}
for tag in i8 i16 i32 i64 u8 f16 bf16 f32 f64; do
  wide "add_${tag}_vector" binary
  wide "negative_${tag}_vector" unary
done
wide exp_bf16_vector unary
wide add_c64_vector binary_complex
wide multiply_c128_vector binary_complex
wide where_u32_vector choice
wide clip_bf16_vector choice
wide convert_f32_i32_vector convert
wide convert_bf16_f16_vector convert

bytes=$(wc -c < "$module")
echo "# module: $bytes bytes"
[ "$bytes" -lt 3000000 ] || say "the module has $bytes bytes, more than 3,000,000"
exit $status
