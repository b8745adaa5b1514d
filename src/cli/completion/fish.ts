import { type CompletedCommand, firstWords, groups, type Source } from './model.ts';

/** A script to read, or the file ~/.config/fish/completions/weft.fish. */
export function fishScript(commands: readonly CompletedCommand[]): string {
  return `# fish completion of weft: weft completion fish | source
function __weft_command
  set -l words (commandline -opc)
  switch "$words[2]"
${groups(commands)
  .map((group) => `    case ${group}\n      string join ' ' $words[2..3]`)
  .join('\n')}
    case '*'
      echo "$words[2]"
  end
end
function __weft_at
  test (__weft_command) = "$argv"
end
function __weft_names
  weft completion --names $argv[1] --prefix (commandline -ct) 2>/dev/null
end
complete -c weft -f
${firstLines(commands).join('\n')}
${commands.flatMap(commandLines).join('\n')}
`;
}

function firstLines(commands: readonly CompletedCommand[]): readonly string[] {
  const first = firstWords(commands).map(({ word, describe }) => line('', word, describe));
  const second = commands.flatMap(({ words: [group = '', word], describe }) =>
    word === undefined ? [] : [line(group, word, describe)],
  );
  return [...first, ...second];
}

function line(at: string, word: string, describe: string): string {
  return `complete -c weft -n ${condition(at)} -a ${quoted(word)} -d ${quoted(describe)}`;
}

function commandLines({ words, flags, argument }: CompletedCommand): readonly string[] {
  const at = `complete -c weft -n ${condition(words.join(' '))}`;
  const own = argument === undefined ? '' : values(argument);
  return [
    ...(own === '' ? [] : [`${at}${own}`]),
    ...flags.map(({ name, describe, source }) => {
      const option = name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`;
      const value =
        source === undefined ? '' : ` -${takesFiles(source) ? 'r' : 'x'}${values(source)}`;
      return `${at} ${option} -d ${quoted(describe)}${value}`;
    }),
  ];
}

function condition(at: string): string {
  return quoted(`__weft_at "${at}"`);
}

function values(source: Source): string {
  switch (source.kind) {
    case 'words':
      return ` -a ${quoted(source.words.join(' '))}`;
    case 'names':
      return ` -a '(__weft_names ${source.of})'`;
    case 'files':
      return ' -F';
    case 'directories':
      return " -a '(__fish_complete_directories (commandline -ct))'";
    case 'nothing':
      return '';
  }
}

function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}

/** Where nothing else is offered, fish offers files unless told not to. */
function takesFiles({ kind }: Source): boolean {
  return kind === 'files';
}
