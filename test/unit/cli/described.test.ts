import { describe, expect, test } from 'vitest';
import { parseCommandLine } from '../../../src/cli/command-line.ts';
import { COMMANDS } from '../../../src/cli/commands.ts';
import { described } from '../../../src/cli/described.ts';

const helpOf = (name: string) => {
  const invocation = parseCommandLine([...name.split(' '), '--help']);
  return 'help' in invocation ? invocation.help : '';
};

describe.each(COMMANDS.map((command) => [command.name, described(command)] as const))(
  'weft %s',
  (name, { usage, flags, epilogue }) => {
    test('its help fits 80 columns and breaks no word', () => {
      const help = helpOf(name);
      expect(help.split('\n').filter((line) => line.length > 80)).toEqual([]);
      const words = new Set(help.split(/\s+/));
      const said = [usage, epilogue, ...flags.map(({ describe: text }) => text)].join(' ');
      const broken = said.split(/\s+/).filter((word) => word !== '' && !words.has(word));
      expect(broken).toEqual([]);
    });

    test('what it declares is all of its help', () => {
      expect(usage.startsWith(`weft ${name}`)).toBe(true);
      const help = helpOf(name);
      const declared = flags.map((flag) => (flag.name.length === 1 ? '-' : '--') + flag.name);
      expect(declared.filter((flag) => !help.includes(flag))).toEqual([]);
    });
  },
);

test('words are those that a description begins with', () => {
  const of = (name: string, flag: string) => {
    const command = COMMANDS.find((each) => each.name === name);
    return command && described(command).flags.find((each) => each.name === flag)?.words;
  };
  expect(of('pods', 'output')).toEqual(['text', 'wide', 'json']);
  expect(of('agent', 'log-format')).toEqual(['auto', 'text', 'json']);
  expect(of('explain', 'proto')).toEqual(['tcp', 'udp', 'sctp']);
  expect(of('agent', 'config')).toEqual([]);
});
