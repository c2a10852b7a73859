#!/bin/sh
# usage: symbols.sh nm library
# A good guest exports its prefix alone, and imports nothing that ends, jumps through, prints over or
# reconfigures its host, or that reads numbers by the host's locale.
set -eu
nm=$1 library=$2 status=0

defined=$("$nm" -D --defined-only "$library")
undefined=$("$nm" -D --undefined-only "$library")
foreign=$(echo "$defined" | awk '$3 !~ /^tv_/ { print "exports " $3 }')
unwanted='abort|exit|_exit|_Exit|quick_exit|atexit|on_exit|__assert_fail|__assert_perror_fail'
unwanted="$unwanted|longjmp|_longjmp|siglongjmp|__longjmp_chk|raise|kill|system|popen"
unwanted="$unwanted|signal|sigaction|sigprocmask|pthread_sigmask|setlocale|uselocale"
unwanted="$unwanted|strto[dfl]|strtold|strto[u]?ll?|strto[ui]max|ato[fil]|atoll|(v|f|vf)?s?scanf|__isoc99_.*scanf"
unwanted="$unwanted|v?f?printf|__v?f?printf_chk|v?sprintf|__v?sprintf_chk|perror|puts|putchar"
unwanted="$unwanted|rand|srand|random|srandom|drand48|setenv|putenv|umask|chdir"
unwanted="$unwanted|fesetround|fesetenv|feenableexcept|fedisableexcept|strcpy|strcat|gets|alloca"
imported=$(echo "$undefined" | awk '{ sub(/@.*/, "", $2); print $2 }' |
  grep -Ex "$unwanted" | sed 's/^/imports /') || true

for found in "$foreign" "$imported"; do
  [ -z "$found" ] || { echo "$library:" && echo "$found" && status=1; }
done
exit $status
