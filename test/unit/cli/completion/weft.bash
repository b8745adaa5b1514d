# bash completion of weft: source <(weft completion bash)
__weft_words() {
  local IFS=$'\n'
  COMPREPLY=($(compgen -W "${1// /$'\n'}" -- "$2"))
}
# Names come from objects: compgen -W would expand them.
__weft_names() {
  local name
  while IFS= read -r name; do
    if [[ $name == "$2"* ]]; then COMPREPLY+=("$(printf %q "$name")"); fi
  done < <("${COMP_WORDS[0]}" completion --names "$1" --prefix "$2" 2>/dev/null)
}
__weft_paths() {
  compopt -o filenames 2>/dev/null
  local IFS=$'\n'
  COMPREPLY=($(compgen "$1" -- "$2"))
}
_weft() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]}
  # bash takes --flag=value for three words.
  if [[ $cur == = ]]; then cur=
  elif [[ $prev == = ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi
  COMPREPLY=()
  if (( COMP_CWORD == 1 )); then
    __weft_words 'status services policy completion' "$cur"
    return
  fi
  case $command in
    policy)
      if (( COMP_CWORD == 2 )); then __weft_words 'check pod' "$cur"; return; fi
      command="policy ${COMP_WORDS[2]}" ;;
  esac
  case "$command $prev" in
    'status --output') __weft_words 'text json' "$cur"; return ;;
    'status --run-dir') __weft_paths -d "$cur"; return ;;
    'services --namespace') __weft_names namespaces "$cur"; return ;;
    'services --limit'|'services --interval') :; return ;;
    'services --output') __weft_words 'text wide json' "$cur"; return ;;
    'services --run-dir') __weft_paths -d "$cur"; return ;;
    'policy check --manifests'|'policy check --against') __weft_paths -d "$cur"; return ;;
    'policy check --probe'|'policy check --denied') :; return ;;
    'policy check --probes') __weft_paths -f "$cur"; return ;;
    'policy check --output') __weft_words 'text json' "$cur"; return ;;
    'policy pod --output') __weft_words 'text json' "$cur"; return ;;
    'policy pod --run-dir') __weft_paths -d "$cur"; return ;;
    'completion --names'|'completion --prefix') :; return ;;
    'completion --run-dir') __weft_paths -d "$cur"; return ;;
  esac
  case $command in
    'status') __weft_words '--output --json --run-dir' "$cur" ;;
    'services')
      if [[ $cur == -* ]]; then __weft_words '--namespace --limit --output --watch --interval --run-dir' "$cur"
      else __weft_names services "$cur"; fi ;;
    'policy check') __weft_words '--manifests --probe --denied --probes --against --matrix --output' "$cur" ;;
    'policy pod')
      if [[ $cur == -* ]]; then __weft_words '--output --run-dir' "$cur"
      else __weft_names pods "$cur"; fi ;;
    'completion')
      if [[ $cur == -* ]]; then __weft_words '--names --prefix --run-dir' "$cur"
      else __weft_words 'bash zsh fish' "$cur"; fi ;;
  esac
}
complete -F _weft weft
