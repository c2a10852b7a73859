#!/bin/sh
# The rules of the house that a script can check. Run by ./dev lint from the top of the tree.
# Lists of files are split into words on purpose; no name in the tree has a blank.
# shellcheck disable=SC2046,SC2013
set -eu
status=0
# rule what where: says what is wrong, if there is a where.
rule() {
  [ -n "$(echo "$2" | tr -d ' \n')" ] || return 0
  printf 'lint: %s:\n%s\n' "$1" "$2" >&2
  status=1
}
files() { git ls-files --cached --others --exclude-standard -- "$@" | sort -u; }
sources=$(files '*.c' '*.h' '*.def' '*.cu' '*.cuh' '*.cpp' '*.hpp' '*.py' '*.sh' '*.cmake' '*.txt' dev .ci/run)
library=$(files 'src/*.c' 'src/*.h' 'src/*.def')

# shellcheck disable=SC2086
{
  rule 'above 800 lines' "$(wc -l $sources | awk '$2 != "total" && $1 > 800')"
  rule 'unfinished' "$(grep -nE '\b(TO[D]O|FIX[M]E|X[X]X|HAC[K])\b' $sources || true)"
  rule 'does not belong in a library' "$(grep -nE \
    '\b(abort|exit|_exit|assert|v?f?printf|v?sprintf|puts|perror|setlocale|signal|sigaction|longjmp|strto[a-z]+|ato[fil]|alloca|strcpy|strcat) *\(' \
    $library | grep -vE ':[0-9]+: *(\*|/\*|//)' || true)"
  rule 'fast-math' "$(grep -nE -- '-O[f]ast|-ff[a]st-math|-funs[a]fe-math' $sources CMakePresets.json || true)"
  rule 'a path of one machine' \
    "$(git grep -nIE '(^|[^A-Za-z0-9_.])/(work|root|home/[a-z]+)/' -- . ':!cmake/lint.sh' || true)"
  rule 'no SPDX line' "$(grep -L 'SPDX-License-Identifier: MIT' $(files 'src/*.c' 'src/*.h' 'include/*.h' 'tool/*.c' 'tool/*.h'))"
}

# One list of sources and of headers, and it is whole.
listed=$(grep -oE '[a-z0-9_/]+\.[ch]\b' src/CMakeLists.txt
  grep -oE '[a-z0-9_]+\.c\b' src/cuda/CMakeLists.txt | sed 's,^,cuda/,')
missing=
for file in $(files 'src/*.c' | sed 's,^src/,,') $(files 'include/tensorvar/*.h' | sed 's,.*/,,'); do
  echo "$listed" | grep -qx "$file" || missing="$missing $file"
done
rule 'not listed in src/CMakeLists.txt' "$missing"

# src/foo.c has tests/test_foo.c. Without one of their own:
#   cpu/cpu          the table of the CPU backend's functions, nothing else
#   cpu/level_*      one line each: the loops once more for another ISA, all run by test_cpu_level
#   cpu/plan         the loops that elementwise and convert work is made of: test_cpu_elementwise, test_cpu_convert
#   cpu/argreduce    reached through cpu/reduce: test_cpu_reduce
#   cpu/openblas     reached through cpu/gemm: test_cpu_gemm
#   cuda/driver, gpu, module: what starts, and what is said where it cannot: test_cuda_probe
#   cuda/*_check     assertions, for the compiler
#   cuda/images, launch, plan, pointwise: reached through every kernel: test_cuda_elementwise
#   tests of a backend carry its name: cpu/foo.c has test_cpu_foo.c
#   cuda/allocator, event, cublaslt: test_cuda_memory, test_cuda_stream, test_cuda_gemm
missing=
tested=$(files 'tests/test_*.c' | sed 's,.*/test_,,; s,\.c$,,')
for file in $(files 'src/*.c' | sed 's,^src/,,; s,\.c$,,'); do
  case $file in
    cpu/cpu | cpu/level_* | cpu/plan | cpu/argreduce | cpu/openblas) continue ;;
    cuda/driver | cuda/gpu | cuda/module | cuda/*_check) continue ;;
    cuda/images | cuda/launch | cuda/plan | cuda/pointwise) continue ;;
    cuda/allocator) name=cuda_memory ;;
    cuda/event) name=cuda_stream ;;
    cuda/cublaslt) name=cuda_gemm ;;
    cuda/*) name=cuda_${file#cuda/} ;;
    cpu/*) name=cpu_${file#cpu/} ;;
    *) name=${file##*/} ;;
  esac
  echo "$tested" | grep -qx "$name" || missing="$missing test_$name.c"
done
rule 'sources without a test' "$missing"
missing=
for name in $tested; do
  case $name in
    cuda_*) grep -qE "tv_cuda_test\\(${name#cuda_}\\b" tests/cuda.cmake && continue ;;
  esac
  grep -qE "tv_test\\($name\\b" tests/CMakeLists.txt || missing="$missing test_$name.c"
done
rule 'not listed in tests/CMakeLists.txt' "$missing"

# Each macro that users write is used by the C++ consumer, where it might not compile.
missing=
for macro in $(sed -nE 's/^# *define (TV_[A-Z0-9_]*[A-Z0-9])\b.*/\1/p; s/^# *define (tv_[a-z0-9_]+)\(.*/\1/p' \
  $(files 'include/tensorvar/*.h') | sort -u); do
  case $macro in TV_API | TV_PRINTF | TV_BEGIN_C | TV_END_C) continue ;; esac
  grep -qw "$macro" tests/install/consumer.cpp || missing="$missing $macro"
done
rule 'not used by tests/install/consumer.cpp' "$missing"
exit $status
