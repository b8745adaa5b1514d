import { describe, expect, test } from 'vitest';
import type { DebugRequest } from '../../../src/agent/debug/protocol.ts';
import { parseCommandLine } from '../../../src/cli/command-line.ts';
import { runPolicyDenied } from '../../../src/cli/commands/policy-denied.ts';
import { runPolicyList } from '../../../src/cli/commands/policy-list.ts';
import { runPolicyPod } from '../../../src/cli/commands/policy-pod.ts';

const OVERVIEW = {
  pod: 'shop/\u001b[2Jdb',
  ips: [],
  isLocal: true,
  ...{ ingress: { isolatedBy: [], rules: [] }, egress: { isolatedBy: [], rules: [] } },
};
const denial = (number: number) => ({
  ...{ number, at: '2026-01-02T03:04:05.678Z', from: 'a/b', to: 'c/d', protocol: 'TCP' },
  ...{ port: 80, packets: 1, suppressed: 0, reason: 'why' },
});

/** Runs against an agent that gives one answer after the other. */
async function run(line: string, ...answers: readonly unknown[]) {
  const asked: DebugRequest[] = [];
  let out = '';
  const left = [...answers];
  const effects = {
    runDir: '/run/default',
    askAgent: (_runDir: string, request: DebugRequest) => {
      asked.push(request);
      return left.length > 0 ? Promise.resolve(left.shift()) : Promise.reject(new Error('gone'));
    },
    print: (text: string) => {
      out += text;
    },
    wait: () => Promise.resolve(),
  };
  const invocation = await parseCommandLine(line.split(' '));
  if (!('flags' in invocation)) throw new Error(line);
  const runners: Record<string, typeof runPolicyDenied> = {
    'policy list': runPolicyList,
    'policy pod': runPolicyPod,
    'policy denied': runPolicyDenied,
  };
  const ended = await runners[invocation.command.name]?.(invocation.flags, effects).catch(
    (error: Error) => error.message,
  );
  return { asked, out, ended };
}

describe('policy list', () => {
  test('as text and as JSON', async () => {
    const answer = { whyNotReady: '', podCount: 3, policies: [] };
    expect((await run('policy list', answer)).out).toMatch(
      /^no policy selects any of this node's 3/,
    );
    expect(JSON.parse((await run('policy list --output json', answer)).out)).toEqual(answer);
  });
});

describe('policy pod', () => {
  test('asks for the pod, and lets no escape sequences through', async () => {
    const { asked, out } = await run('policy pod shop/db', OVERVIEW);
    expect(asked).toEqual([{ command: 'policy pod', pod: 'shop/db' }]);
    expect(out).toContain('Pod shop/?[2Jdb');
  });

  test.each([
    ['policy pod', 'which pod? weft policy pod NAMESPACE/NAME'],
    ['policy pod a/b --output xml', '--output: expected text or json, found "xml"'],
  ])('%s', async (line, message) => {
    expect((await run(line)).ended).toBe(message);
  });

  test.each([
    ['a b', 'unexpected argument "b"'],
    ['--NAME a', 'unknown flag --NAME'],
  ])('one word is enough: %s', async (rest, message) => {
    await expect(parseCommandLine(['policy', 'pod', ...rest.split(' ')])).rejects.toThrow(message);
  });
});

describe('policy denied', () => {
  test('prints what is kept', async () => {
    const { asked, out } = await run('policy denied', [denial(1), denial(2)]);
    expect(asked).toEqual([{ command: 'policy denied', after: 0 }]);
    expect(out.match(/a\/b -> c\/d:80\/tcp/g)).toHaveLength(2);
  });

  test('says so when nothing was denied', async () => {
    expect((await run('policy denied', [])).out).toBe('nothing was denied\n');
  });

  test('--follow asks for what came since, until the agent is gone', async () => {
    const line = 'policy denied --follow --output json';
    const { asked, out, ended } = await run(line, [denial(1)], [], [denial(2), denial(3)]);
    expect(asked.map((request) => 'after' in request && request.after)).toEqual([0, 1, 1, 3]);
    const numbers = out
      .trim()
      .split('\n')
      .map((text) => (JSON.parse(text) as { number: number }).number);
    expect(numbers).toEqual([1, 2, 3]);
    expect(ended).toBe('gone');
  });
});
