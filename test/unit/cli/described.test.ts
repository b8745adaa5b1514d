import { describe, expect, test } from 'vitest';
import { parseCommandLine } from '../../../src/cli/command-line.ts';
import { COMMANDS } from '../../../src/cli/commands.ts';
import { described } from '../../../src/cli/described.ts';

const helpOf = async (name: string) => {
  const invocation = await parseCommandLine([...name.split(' '), '--help']);
  return 'help' in invocation ? invocation.help : '';
};

const all = await Promise.all(COMMANDS.map(described));

describe.each(all.map((command) => [command.name, command] as const))(
  'weft %s',
  (name, { usage, flags, epilogue }) => {
    test('its help fits 80 columns and breaks no word', async () => {
      const help = await helpOf(name);
      expect(help.split('\n').filter((line) => line.length > 80)).toEqual([]);
      const words = new Set(help.split(/\s+/));
      const said = [usage, epilogue, ...flags.map(({ describe: text }) => text)].join(' ');
      const broken = said.split(/\s+/).filter((word) => word !== '' && !words.has(word));
      expect(broken).toEqual([]);
    });

    test('what it declares is all of its help', async () => {
      expect(usage.startsWith(`weft ${name}`)).toBe(true);
      const help = await helpOf(name);
      const declared = flags.map((flag) => (flag.name.length === 1 ? '-' : '--') + flag.name);
      expect(declared.filter((flag) => !help.includes(flag))).toEqual([]);
    });
  },
);

test('words are those that a description begins with', () => {
  const of = (command: string, flag: string) =>
    all.find(({ name }) => name === command)?.flags.find(({ name }) => name === flag)?.words;
  expect(of('pods', 'output')).toEqual(['text', 'wide', 'json']);
  expect(of('agent', 'log-format')).toEqual(['auto', 'text', 'json']);
  expect(of('explain', 'proto')).toEqual(['tcp', 'udp', 'sctp']);
  expect(of('agent', 'config')).toEqual([]);
});
