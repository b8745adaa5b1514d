import { describe, expect, test } from 'vitest';
import type { DebugRequest } from '../../../src/agent/debug/protocol.ts';
import { parseCommandLine } from '../../../src/cli/command-line.ts';
import { runDiff } from '../../../src/cli/commands/diff.ts';
import { explainRequest, runExplain } from '../../../src/cli/commands/explain.ts';
import { UsageError } from '../../../src/cli/usage.ts';

const TO = '--from 10.1.0.2 --to 10.96.0.1:80';

async function flagsOf(line: string) {
  const invocation = await parseCommandLine(line.split(' '));
  if (!('flags' in invocation)) throw new Error(line);
  return invocation.flags;
}

describe('explain', () => {
  test.each([
    { flags: TO, want: { packet: { protocol: 'tcp', port: 80 }, liveTimeoutMs: undefined } },
    { flags: `${TO} --proto UDP`, want: { packet: { protocol: 'udp' } } },
    { flags: `${TO} --in-interface br0`, want: { packet: { inInterface: 'br0' } } },
    { flags: `${TO} --live`, want: { liveTimeoutMs: 10_000 } },
    { flags: `${TO} --live --timeout 1m`, want: { liveTimeoutMs: 60_000 } },
    {
      flags: '--from fd00::2 --to [FD00:0::1]:443',
      want: { packet: { source: 'fd00::2', destination: 'fd00::1', port: 443 } },
    },
    {
      flags: '--from shop/cart --to shop/db:postgres --in-interface br0',
      want: {
        packet: { from: 'shop/cart', to: 'shop/db', port: 'postgres', inInterface: 'br0' },
      },
    },
    {
      flags: '--from 10.1.0.2 --to node/a:30080',
      want: { packet: { from: '10.1.0.2', to: 'node/a', port: '30080', protocol: 'tcp' } },
    },
  ])('$flags', async ({ flags, want }) => {
    expect(explainRequest(await flagsOf(`explain ${flags}`))).toMatchObject(want);
  });

  test.each([
    { flags: '--to 10.96.0.1:80', text: '--from is missing' },
    { flags: '--from 10.1.0.2', text: '--to is missing' },
    {
      flags: '--from x --to 10.96.0.1:80',
      text: '--from: expected an IP address or NAMESPACE/POD, found "x"',
    },
    { flags: '--from 10.1.0.2 --to 10.96.0.1', text: '--to: expected 10.96.0.1:80' },
    { flags: '--from 10.1.0.2 --to 10.96.0.1:0', text: '--to: expected' },
    { flags: '--from 10.1.0.2 --to 10.96.0.1:99999', text: '--to: expected' },
    { flags: '--from 10.1.0.2 --to shop/db', text: '--to: expected' },
    { flags: '--from 10.1.0.2 --to 10.96.0.1:http', text: '--to: expected' },
    { flags: '--from 10.1.0.2 --to [shop/db]:80', text: '--to: expected' },
    { flags: '--from 10.1.0.2 --to a/b/c:80', text: '--to: expected' },
    { flags: '--from fd00::2 --to fd00::1:80', text: '--to: expected' },
    { flags: '--from fd00::2 --to 10.96.0.1:80', text: 'different IP families' },
    { flags: `${TO} --proto icmp`, text: '--proto: expected tcp, udp or sctp, found "icmp"' },
    { flags: `${TO} --timeout 3s`, text: 'add --live' },
    { flags: `${TO} --live --timeout 2m`, text: '--timeout: expected a duration up to 60s' },
    { flags: `${TO} --live --timeout soon`, text: '--timeout: expected' },
  ])('$flags is refused', async ({ flags: line, text }) => {
    const flags = await flagsOf(`explain ${line}`);
    const attempt = () => explainRequest(flags);
    expect(attempt).toThrow(UsageError);
    expect(attempt).toThrow(text);
  });
});

/** Runs against an agent that answers with this. */
async function run(line: string, result: unknown) {
  const asked: (readonly [string, DebugRequest])[] = [];
  let out = '';
  const effects = {
    runDir: '/run/default',
    askAgent: (runDir: string, request: DebugRequest) => {
      asked.push([runDir, request]);
      return Promise.resolve(result);
    },
    print: (text: string) => {
      out += text;
    },
  };
  const flags = await flagsOf(line);
  const code = await (line.startsWith('diff')
    ? runDiff(flags, effects)
    : runExplain(flags, effects));
  return { asked, out, code };
}

const difference = {
  ...{ sign: '+', place: 'cluster-ips', key: '10.96.0.1', cause: 'drift' },
  servicePort: 'evil/\u001b[2Jname',
};
const tables = (...differences: readonly object[]) => [
  { table: 'ip weft-proxy', state: 'asDefined', differences },
];

test.each([
  { line: 'diff', runDir: '/run/default' },
  { line: 'diff --run-dir /run/other', runDir: '/run/other' },
])('$line asks $runDir', async ({ line, runDir }) => {
  expect((await run(line, tables())).asked).toEqual([[runDir, { command: 'diff' }]]);
});

test.each([
  { name: 'no difference', result: tables(), code: 0 },
  { name: 'some', result: tables(difference), code: 1 },
])('diff with $name exits with $code', async ({ result, code }) => {
  expect((await run('diff', result)).code).toBe(code);
});

test.each([
  { outcome: 'allowed', code: 0 },
  { outcome: 'refused', code: 3 },
  { outcome: 'dropped', code: 4 },
  { outcome: 'differs', code: 5 },
])('explain of what is $outcome exits with $code', async ({ outcome, code }) => {
  expect((await run(`explain ${TO} --json`, { outcome })).code).toBe(code);
});

test('a name cannot write to the terminal', async () => {
  const { out } = await run('diff', tables(difference));
  expect(out).toContain('(evil/?[2Jname)');
});

test('--json prints the answer as it is', async () => {
  expect(JSON.parse((await run('diff --json', tables(difference))).out)).toEqual(
    tables(difference),
  );
  const answer = { explanation: 'of any shape' };
  expect(JSON.parse((await run(`explain ${TO} --json`, answer)).out)).toEqual(answer);
});
