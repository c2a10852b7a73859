# SPDX-License-Identifier: MIT
# Completion of tensorvar for bash: commands, options, their words, and files. What it lists is
# compared with what the program knows by tests/tool_pages.sh.

_tensorvar() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]-}
  local commands='info show head stats diff convert concat plot bench'
  local options='--name --field --bf16 --device --json --quiet --help'
  local target='--slice --to --as --order --endian --compress --no-sync'
  local words=
  COMPREPLY=()

  if [ "$COMP_CWORD" -eq 1 ]; then
    # shellcheck disable=SC2207
    COMPREPLY=($(compgen -W "$commands --help --version" -- "$word"))
    return
  fi
  case $command in
    show) options="$options --slice" ;;
    head) options="$options --slice --rows" ;;
    stats) options="$options --slice --part --axis --ddof --quantiles" ;;
    diff) options="$options --slice --rtol --atol --equal-nan --same-dtype" ;;
    convert) options="$options $target --dtype --refuse --lossy" ;;
    concat) options="$options $target --axis" ;;
    plot) options="$options --slice --part --histogram --bins --range --width --height" ;;
    bench) options="$options --runs --scratch" ;;
  esac
  case $before in
    --to) words='npy npz safetensors' ;;
    --order) words='keep C F' ;;
    --endian) words='little big' ;;
    --part) words='abs real imag' ;;
    --refuse) words='overflow inexact nan any' ;;
    --device) words='cpu cuda' ;;
    --compress) words='0 1 2 3 4 5 6 7 8 9' ;;
    --dtype)
      words='bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 bfloat16 float32 float64
        complex64 complex128'
      ;;
    --scratch)
      # shellcheck disable=SC2207
      COMPREPLY=($(compgen -d -- "$word"))
      return
      ;;
    --name | --field | --slice | --rows | -n | --axis | --ddof | --quantiles | --rtol | --atol | --as | \
      --bins | --range | --width | --height | --runs) return ;;
  esac
  if [ -n "$words" ]; then
    # shellcheck disable=SC2207
    COMPREPLY=($(compgen -W "$words" -- "$word"))
  elif [[ $word == -* ]]; then
    # shellcheck disable=SC2207
    COMPREPLY=($(compgen -W "$options" -- "$word"))
  else # files that may hold arrays, and folders
    local file
    while IFS= read -r file; do
      if [ -d "$file" ] || [[ $file == *.npy || $file == *.npz || $file == *.safetensors ]]; then
        COMPREPLY+=("$file")
      fi
    done < <(compgen -f -- "$word")
  fi
}
complete -o filenames -F _tensorvar tensorvar
