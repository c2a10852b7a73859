#!/bin/sh
# usage: quotes.sh page.md source.c...
# Every block of C in the page stands line for line, but for indentation and blanks, in one of the
# sources, which are programs that are built and run.
set -eu
page=$1
shift
exec awk -v page="$page" '
  { line = $0; gsub(/[ \t]+/, " ", line); sub(/^ /, "", line); sub(/ $/, "", line) }
  FILENAME != page { source[FILENAME] = source[FILENAME] line "\n"; next }
  line == "```c" { block = "\n"; begin = FNR; is_open = 1; next }
  line == "```" && is_open {
    is_open = is_found = 0
    n++
    for (name in source) if (index("\n" source[name], block)) is_found = 1
    if (!is_found) { print page ":" begin ": no source has this block"; is_wrong = 1 }
  }
  is_open { block = block line "\n" }
  END {
    if (!n) { print page ": no block of C"; is_wrong = 1 }
    exit is_wrong
  }' "$@" "$page"
