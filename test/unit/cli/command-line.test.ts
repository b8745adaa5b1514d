import { describe, expect, test } from 'vitest';
import { parseCommandLine } from '../../../src/cli/command-line.ts';
import { COMMAND_NAMES } from '../../../src/cli/commands.ts';
import { UsageError } from '../../../src/cli/usage.ts';

const words = (line: string) => line.split(' ').filter((word) => word !== '');

describe('parseCommandLine', () => {
  test.each([
    { line: 'version', want: { command: 'version', flags: {} } },
    { line: '--version', want: { command: 'version', flags: {} } },
    { line: 'proxy --version', want: { command: 'version', flags: {} } },
    { line: 'cleanup', want: { command: 'cleanup', flags: {} } },
    { line: 'agent', want: { command: 'agent', flags: {} } },
    {
      line: 'agent --components=cni,proxy --node-name a',
      want: { command: 'agent', flags: { components: 'cni,proxy', 'node-name': 'a' } },
    },
    {
      line: 'proxy --cluster_cidr=10.0.0.0/8 --hostname_override under_score',
      want: {
        command: 'proxy',
        flags: { 'cluster-cidr': '10.0.0.0/8', 'hostname-override': 'under_score' },
      },
    },
    {
      line: 'proxy --masquerade-all --cleanup=0 --profiling=T -v=4',
      want: {
        command: 'proxy',
        flags: { 'masquerade-all': true, cleanup: false, profiling: true, v: '4' },
      },
    },
    {
      line: 'proxy --oom-score-adj -7 --iptables-masquerade-bit 014',
      want: {
        command: 'proxy',
        flags: { 'oom-score-adj': '-7', 'iptables-masquerade-bit': '014' },
      },
    },
    {
      line: 'proxy --healthz-bind-address=',
      want: { command: 'proxy', flags: { 'healthz-bind-address': '' } },
    },
    {
      line: 'proxy --nodeport-addresses a --nodeport-addresses=b,c',
      want: { command: 'proxy', flags: { 'nodeport-addresses': ['a', 'b,c'] } },
    },
  ])('$line', async ({ line, want }) => {
    const invocation = await parseCommandLine(words(line));
    const found =
      'help' in invocation ? 'help' : { ...invocation, command: invocation.command.name };
    expect(found).toEqual(want);
  });

  test.each([
    ['agnet', 'unknown command agnet (did you mean agent?); see weft --help'],
    ['start', `unknown command start: use ${COMMAND_NAMES.join(', ')}; see weft --help`],
    [
      'policy pods',
      'unknown command policy pods (did you mean policy pod?); see weft policy --help',
    ],
    [
      '--kubeconfig x',
      `unknown flag before a command --kubeconfig: use ${COMMAND_NAMES.join(', ')}; see weft --help`,
    ],
    [
      'agent --component cni',
      'unknown flag --component (did you mean --components?); see weft agent --help',
    ],
    ['agent --cluster-cidr=x', 'unknown flag --cluster-cidr; see weft agent --help'],
    [
      'agent --no-config',
      'unknown flag --no-config (did you mean --config?); see weft agent --help',
    ],
    ['agent -x', 'unknown flag -x; see weft agent --help'],
    ['agent --kubeconfig', '--kubeconfig needs a value; see weft agent --help'],
    ['agent --run-dir --config x', '--run-dir needs a value; see weft agent --help'],
    ['proxy -v', '-v needs a value; see weft proxy --help'],
    ['agent cni', 'unexpected argument "cni"; see weft agent --help'],
    ['cleanup --everything', 'unknown flag --everything; see weft cleanup --help'],
    ['proxy --profiling=maybe', '--profiling: expected true or false, found "maybe"'],
  ])('%s is refused', async (line, message) => {
    const attempt = parseCommandLine(words(line));
    await expect(attempt).rejects.toThrow(UsageError);
    await expect(attempt).rejects.toThrow(new RegExp(`^${message.replaceAll(/[().?]/g, '\\$&')}$`));
  });
});

/** What `weft … --help` and its like print. */
async function helpOf(line: string): Promise<string> {
  const invocation = await parseCommandLine(words(line));
  return 'help' in invocation ? invocation.help : '';
}

test.each([
  '',
  'agent',
  'proxy',
  'status',
  'explain',
  'diff',
  'policy check',
  'policy list',
  'policy pod',
  'policy denied',
  'cleanup',
  'install',
  'version',
])('help of weft %s', async (command) => {
  await expect(`${await helpOf(`${command} --help`)}\n`).toMatchFileSnapshot(
    `help/${command.replace(' ', '-') || 'weft'}.txt`,
  );
});

test.each(COMMAND_NAMES)(
  'help of weft %s begins with its usage, however it is asked for',
  async (name) => {
    const lines = [`${name} --help`, `${name} -h`, `help ${name}`];
    const texts = await Promise.all(lines.map(helpOf));
    expect(new Set(texts).size).toBe(1);
    expect(texts[0]).toMatch(new RegExp(`^weft ${name}( |\n)`));
  },
);

test.each(['policy', 'policy --help', 'policy -h', 'help policy'])(
  'weft %s lists the commands that begin so',
  async (line) => {
    const text = await helpOf(line);
    expect(text).toMatch(/^weft policy <command>/);
    expect(text).toContain('weft policy check');
    expect(text).not.toContain('weft agent');
  },
);
