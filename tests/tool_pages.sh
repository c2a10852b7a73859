#!/bin/sh
# usage: tool_pages.sh program source-folder
# The manual and the completion know every command and option that the program knows, the manual is
# clean where groff is, and bash completes where it is.
set -eu
tool=$1 sources=$2
page=$sources/tensorvar.1 completion=$sources/completion/tensorvar.bash
status=0
wrong() {
  echo "$*" >&2
  status=1
}

commands=$("$tool" --help | sed -n 's/^  \([a-z]*\) .*/\1/p')
[ -n "$commands" ]
# A macro of the page sets words apart, and a hyphen is written \-.
text=$(sed 's/\\-/-/g; s/\\f.//g' "$page")
for command in $commands; do
  echo "$text" | grep -qE "^\.BI $command " || wrong "the manual has no command $command"
  options=$("$tool" "$command" --help | grep -oE -- '^ .*--[a-z0-9-]+' | grep -oE -- '--[a-z0-9-]+')
  for option in $options; do
    echo "$text" | grep -qE "^\.(B|BI|BR) (-. \", \" )?$option( |\$)" || wrong "the manual has no $option"
  done
  command -v bash > /dev/null || continue
  completed=$(bash -c '
    . "$1"
    COMP_WORDS=(tensorvar "$2" --) COMP_CWORD=2
    _tensorvar
    printf "%s\n" "${COMPREPLY[@]}"' bash "$completion" "$command" | sort)
  [ "$completed" = "$(echo "$options" | sort)" ] || wrong "$command: completed are not its options:
$completed"
done
# And the other way round.
for option in $(echo "$text" | grep -E '^\.(TP|B|BI|BR) ' | grep -oE -- '--[a-z][a-z0-9-]+' | sort -u); do
  case $option in --option | --version) continue ;; esac
  for command in $commands; do "$tool" "$command" --help; done | grep -q -- "$option " ||
    wrong "the manual has $option, and no command"
done

if command -v bash > /dev/null; then
  bash -n "$completion" || wrong 'bash does not read the completion'
  completed=$(bash -c '
    . "$1"
    COMP_WORDS=(tensorvar "") COMP_CWORD=1
    _tensorvar
    printf "%s\n" "${COMPREPLY[@]}"' bash "$completion" | grep -v '^--' | sort)
  [ "$completed" = "$(echo "$commands" | sort)" ] || wrong "completed commands: $completed"
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  : > "$folder/a b.npy"
  : > "$folder/notes.txt"
  mkdir "$folder/more"
  completed=$(cd "$folder" && bash -c '
    . "$1"
    COMP_WORDS=(tensorvar show "") COMP_CWORD=2
    _tensorvar
    printf "%s\n" "${COMPREPLY[@]}"
    COMP_WORDS=(tensorvar convert x --to s) COMP_CWORD=4
    _tensorvar
    printf "%s\n" "${COMPREPLY[@]}"' bash "$completion" | sort | tr '\n' ,)
  [ "$completed" = 'a b.npy,more,safetensors,' ] || wrong "completed: $completed"
fi
if command -v groff > /dev/null; then
  said=$(groff -man -Tascii -ww -z "$page" 2>&1)
  [ -z "$said" ] || wrong "groff: $said"
fi
if command -v mandoc > /dev/null; then
  mandoc -Tlint -W warning "$page" || wrong 'mandoc finds fault with the manual'
fi
exit $status
