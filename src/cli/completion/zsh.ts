import {
  type CompletedCommand,
  type Entry,
  firstWords,
  flagsBySource,
  groups,
  quoted,
  type Source,
} from './model.ts';

/** A script to read, or a file `_weft` in a directory of $fpath. */
export function zshScript(commands: readonly CompletedCommand[]): string {
  return `#compdef weft
# zsh completion of weft: source <(weft completion zsh)
__weft_names() {
  local -a names
  names=(\${(f)"$($words[1] completion --names $1 --prefix "$PREFIX" 2>/dev/null)"})
  compadd -a names
}
_weft() {
  local command=$words[2] prev=$words[CURRENT-1]
  local -a entries
  if (( CURRENT == 2 )); then
    entries=(${entries(firstWords(commands))})
    _describe command entries
    return
  fi
  case $command in
${groups(commands)
  .map((group) => groupCase(group, commands))
  .join('\n')}
  esac
  if [[ $PREFIX == --*=* ]]; then
    prev=\${PREFIX%%=*}
    compset -P '*='
  fi
  case "$command $prev" in
${commands.flatMap(valueCases).join('\n')}
  esac
  case $command in
${commands.map(commandCase).join('\n')}
  esac
  _describe flag entries
}
if [[ $funcstack[1] == _weft ]]; then _weft "$@"; else compdef _weft weft; fi
`;
}

function entries(all: readonly Entry[]): string {
  return all
    .map(({ word, describe }) => quoted(`${word}:${describe.replaceAll('\\', '\\\\')}`))
    .join(' ');
}

function groupCase(group: string, commands: readonly CompletedCommand[]): string {
  const own = commands.flatMap(({ words, describe }) =>
    words[0] === group && words[1] !== undefined ? [{ word: words[1], describe }] : [],
  );
  return `    (${group})
      if (( CURRENT == 3 )); then
        entries=(${entries(own)})
        _describe command entries
        return
      fi
      command="${group} $words[3]" ;;`;
}

function valueCases(command: CompletedCommand): readonly string[] {
  return flagsBySource(command).map(({ source, names }) => {
    const patterns = names.map((name) => quoted(`${command.words.join(' ')} ${name}`)).join('|');
    return `    (${patterns}) ${offer(source)}; return ;;`;
  });
}

function commandCase({ words, flags, argument }: CompletedCommand): string {
  const own = entries(flags.map(({ name, describe }) => ({ word: name, describe })));
  const first =
    argument === undefined
      ? ''
      : `
      if [[ $PREFIX != -* ]]; then ${offer(argument)}; return; fi`;
  return `    (${quoted(words.join(' '))})${first}
      entries=(${own}) ;;`;
}

function offer(source: Source): string {
  switch (source.kind) {
    case 'words':
      return `compadd ${source.words.map(quoted).join(' ')}`;
    case 'names':
      return `__weft_names ${source.of}`;
    case 'files':
      return '_files';
    case 'directories':
      return '_files -/';
    case 'nothing':
      return ':';
  }
}
