import {
  type CompletedCommand,
  firstWords,
  flagsBySource,
  groups,
  quoted,
  type Source,
  secondWords,
} from './model.ts';

/** A script that bash reads; it needs no package of completions. */
export function bashScript(commands: readonly CompletedCommand[]): string {
  return `# bash completion of weft: source <(weft completion bash)
__weft_words() {
  local IFS=$'\\n'
  COMPREPLY=($(compgen -W "\${1// /$'\\n'}" -- "$2"))
}
# Names come from objects: compgen -W would expand them.
__weft_names() {
  local name
  while IFS= read -r name; do
    if [[ $name == "$2"* ]]; then COMPREPLY+=("$(printf %q "$name")"); fi
  done < <("\${COMP_WORDS[0]}" completion --names "$1" --prefix "$2" 2>/dev/null)
}
__weft_paths() {
  compopt -o filenames 2>/dev/null
  local IFS=$'\\n'
  COMPREPLY=($(compgen "$1" -- "$2"))
}
_weft() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} command=\${COMP_WORDS[1]}
  # bash takes --flag=value for three words.
  if [[ $cur == = ]]; then cur=
  elif [[ $prev == = ]]; then prev=\${COMP_WORDS[COMP_CWORD-2]}; fi
  COMPREPLY=()
  if (( COMP_CWORD == 1 )); then
    __weft_words ${quoted(
      firstWords(commands)
        .map(({ word }) => word)
        .join(' '),
    )} "$cur"
    return
  fi
  case $command in
${groups(commands)
  .map((group) => groupCase(group, commands))
  .join('\n')}
  esac
  case "$command $prev" in
${commands.flatMap(valueCases).join('\n')}
  esac
  case $command in
${commands.map(commandCase).join('\n')}
  esac
}
complete -F _weft weft
`;
}

function groupCase(group: string, commands: readonly CompletedCommand[]): string {
  const words = quoted(secondWords(commands, group).join(' '));
  return `    ${group})
      if (( COMP_CWORD == 2 )); then __weft_words ${words} "$cur"; return; fi
      command="${group} \${COMP_WORDS[2]}" ;;`;
}

function valueCases(command: CompletedCommand): readonly string[] {
  return flagsBySource(command).map(({ source, names }) => {
    const patterns = names.map((name) => quoted(`${command.words.join(' ')} ${name}`)).join('|');
    return `    ${patterns}) ${offer(source)}; return ;;`;
  });
}

function commandCase({ words, flags, argument }: CompletedCommand): string {
  const names = quoted(flags.map(({ name }) => name).join(' '));
  const pattern = quoted(words.join(' '));
  if (argument === undefined) return `    ${pattern}) __weft_words ${names} "$cur" ;;`;
  return `    ${pattern})
      if [[ $cur == -* ]]; then __weft_words ${names} "$cur"
      else ${offer(argument)}; fi ;;`;
}

function offer(source: Source): string {
  switch (source.kind) {
    case 'words':
      return `__weft_words ${quoted(source.words.join(' '))} "$cur"`;
    case 'names':
      return `__weft_names ${source.of} "$cur"`;
    case 'files':
      return '__weft_paths -f "$cur"';
    case 'directories':
      return '__weft_paths -d "$cur"';
    case 'nothing':
      return ':';
  }
}
