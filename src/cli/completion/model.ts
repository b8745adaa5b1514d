/** What can stand where on the command line, whatever the shell. */
import type { NamesKind } from '../../agent/debug/lists/names.ts';
import type { Command } from '../command.ts';
import { type DescribedFlag, described } from '../described.ts';

/** Where the values of a flag or an argument come from. */
export type Source =
  | { readonly kind: 'words'; readonly words: readonly string[] }
  | { readonly kind: 'names'; readonly of: NamesKind }
  | { readonly kind: 'files' | 'directories' | 'nothing' };

export interface CompletedCommand {
  /** One or two. */
  readonly words: readonly string[];
  readonly describe: string;
  readonly flags: readonly CompletedFlag[];
  /** Undefined: it takes no word besides flags. */
  readonly argument: Source | undefined;
}

export interface CompletedFlag {
  /** With its dashes. */
  readonly name: string;
  readonly describe: string;
  /** Undefined: it takes no value. */
  readonly source: Source | undefined;
}

const NOTHING: Source = { kind: 'nothing' };

/** Flags whose values are names, wherever they are. */
const NAMED_FLAGS: ReadonlyMap<string, NamesKind> = new Map([
  ['namespace', 'namespaces'],
  ['pod', 'pods'],
  ['service', 'services'],
  ['from', 'parties'],
  ['to', 'parties'],
]);
const FILE_FLAGS: ReadonlySet<string> = new Set([
  ...['config', 'kubeconfig', 'probes', 'write-config-to'],
]);
const DIRECTORY_FLAGS = /^(?:manifests|against|cni-bin|.*-dir)$/;

/** What the words of commands are. */
const NAMED_ARGUMENTS: ReadonlyMap<string, NamesKind> = new Map([
  ['pods', 'pods'],
  ['services', 'services'],
  ['endpoints', 'services'],
  ['ips', 'addresses'],
  ['policy pod', 'pods'],
]);

export async function completedCommand(command: Command): Promise<CompletedCommand> {
  const { name, describe, flags } = await described(command);
  return {
    words: name.split(' '),
    describe,
    flags: flags.map(completedFlag),
    argument: command.argument === undefined ? undefined : argumentOf(command),
  };
}

function argumentOf({ name, argumentWords: words }: Command): Source {
  if (words !== undefined) return { kind: 'words', words };
  const of = NAMED_ARGUMENTS.get(name);
  return of === undefined ? NOTHING : { kind: 'names', of };
}

function completedFlag({ name, describe, isSwitch, words }: DescribedFlag): CompletedFlag {
  const source = isSwitch ? undefined : sourceOf(name, words);
  return { name: name.length === 1 ? `-${name}` : `--${name}`, describe, source };
}

function sourceOf(flag: string, words: readonly string[]): Source {
  if (words.length > 0) return { kind: 'words', words };
  const of = NAMED_FLAGS.get(flag);
  if (of !== undefined) return { kind: 'names', of };
  if (FILE_FLAGS.has(flag)) return { kind: 'files' };
  return DIRECTORY_FLAGS.test(flag) ? { kind: 'directories' } : NOTHING;
}

export interface Entry {
  readonly word: string;
  readonly describe: string;
}

/** The first words, each once: a group of commands has one of its own. */
export function firstWords(commands: readonly CompletedCommand[]): readonly Entry[] {
  const entries = new Map<string, Entry>();
  for (const { words, describe } of commands) {
    const [word = '', second] = words;
    const group = { word, describe: `Commands: ${secondWords(commands, word).join(', ')}` };
    entries.set(word, second === undefined ? { word, describe } : group);
  }
  return [...entries.values()];
}

/** First words that are no command of their own. */
export function groups(commands: readonly CompletedCommand[]): readonly string[] {
  return [...new Set(commands.flatMap(({ words }) => (words.length > 1 ? words.slice(0, 1) : [])))];
}

/** What follows the first word of a group. */
export function secondWords(commands: readonly CompletedCommand[], group: string): string[] {
  return commands.flatMap(({ words }) => (words[0] === group && words[1] ? [words[1]] : []));
}

/** The flags of a command that take a value, by where it comes from. */
export function flagsBySource({
  flags,
}: CompletedCommand): readonly { readonly source: Source; readonly names: readonly string[] }[] {
  const sources = new Map<string, { source: Source; names: string[] }>();
  for (const { name, source } of flags) {
    if (source === undefined) continue;
    const key = JSON.stringify(source);
    const found = sources.get(key);
    if (found === undefined) sources.set(key, { source, names: [name] });
    else found.names.push(name);
  }
  return [...sources.values()];
}

/** In single quotes of bash and zsh. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
