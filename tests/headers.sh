#!/bin/sh
# usage: headers.sh "a.h;b.h" compiler flags...
# Compiles a source that is nothing but an include, for each header.
set -eu
headers=$(echo "$1" | tr ';' ' ')
shift
status=0
for header in $headers; do
  echo "#include <tensorvar/$header>" | "$@" - || status=1
done
exit $status
