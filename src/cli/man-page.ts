/** Manual pages of section 8 in man(7), from what commands declare. */
import type { DescribedCommand, DescribedFlag } from './described.ts';

export interface ManPage {
  /** `weft-policy-list.8` */
  readonly file: string;
  readonly text: string;
}

export interface Edition {
  readonly version: string;
  /** `2030-01-02` */
  readonly date: string;
}

/** The page of one command. `others` are the names of all. */
export function commandPage(
  command: DescribedCommand,
  others: readonly string[],
  edition: Edition,
): ManPage {
  const page = pageName(command.name);
  const see = ['weft', ...others.filter((name) => name !== command.name).map(pageName)];
  return {
    file: `${page}.8`,
    text: joined([
      ...head(page, lowerFirst(command.describe), edition),
      '.SH SYNOPSIS',
      `.B ${text(command.usage)}`,
      '.SH DESCRIPTION',
      ...body(command.epilogue),
      ...(command.flags.length === 0 ? [] : ['.SH OPTIONS', ...command.flags.flatMap(flagLines)]),
      ...seeAlso(see),
    ]),
  };
}

/** The page of `weft` itself. */
export function rootPage(
  commands: readonly DescribedCommand[],
  epilogue: string,
  edition: Edition,
): ManPage {
  return {
    file: 'weft.8',
    text: joined([
      ...head('weft', 'networking of a Kubernetes node', edition),
      '.SH SYNOPSIS',
      '.B weft',
      '.I COMMAND',
      '[flags]',
      '.SH DESCRIPTION',
      ...body(epilogue),
      '.SH COMMANDS',
      ...commands.flatMap(({ name, describe }) => ['.TP', `.B ${text(name)}`, text(describe)]),
      ...seeAlso(commands.map(({ name }) => pageName(name))),
    ]),
  };
}

function head(page: string, what: string, { version, date }: Edition): readonly string[] {
  return [
    `.TH ${page.toUpperCase()} 8 ${date} "weft ${text(version)}" "weft"`,
    // Words are whole and commands are not stretched.
    '.nh',
    '.ad l',
    '.SH NAME',
    `${text(page)} \\- ${text(what)}`,
  ];
}

function pageName(command: string): string {
  return command === 'weft' ? command : `weft-${command.replaceAll(' ', '-')}`;
}

function flagLines({ name, describe, isSwitch }: DescribedFlag): readonly string[] {
  const dashes = name.length === 1 ? '-' : '--';
  const value = isSwitch ? '' : ' \\fIVALUE\\fR';
  return ['.TP', `\\fB${text(dashes + name)}\\fR${value}`, text(describe)];
}

/** Lines that begin in the first column are filled as paragraphs; what is indented stays as it is. */
function body(epilogue: string): readonly string[] {
  const lines: string[] = [];
  let isVerbatim = false;
  for (const line of epilogue.split('\n')) {
    const isIndented = line.startsWith(' ');
    if (isIndented !== isVerbatim && line !== '') lines.push(isIndented ? '.nf' : '.fi');
    if (line !== '') isVerbatim = isIndented;
    if (line === '') lines.push(...(isVerbatim ? ['.fi', '.PP'] : ['.PP']));
    else lines.push(text(line));
    if (line === '') isVerbatim = false;
  }
  if (isVerbatim) lines.push('.fi');
  return lines;
}

function seeAlso(pages: readonly string[]): readonly string[] {
  const named = pages.map((page) => `.BR ${text(page)} (8)`);
  return ['.SH SEE ALSO', ...named.map((line, i) => (i < named.length - 1 ? `${line},` : line))];
}

/** Nothing of it is a request or an escape of roff; dashes are those of commands. */
function text(plain: string): string {
  const escaped = plain
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('…', '...')
    .replaceAll('"', '\\(dq');
  return /^[.']/.test(escaped) ? `\\&${escaped}` : escaped;
}

function lowerFirst(words: string): string {
  return words.slice(0, 1).toLowerCase() + words.slice(1);
}

function joined(lines: readonly string[]): string {
  return `${lines.join('\n')}\n`;
}
