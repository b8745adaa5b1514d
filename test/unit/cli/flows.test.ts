import { describe, expect, test } from 'vitest';
import type { DebugRequest } from '../../../src/agent/debug/protocol.ts';
import { parseAsked } from '../../../src/agent/questions.ts';
import { parseCommandLine } from '../../../src/cli/command-line.ts';
import { runFlows } from '../../../src/cli/commands/flows.ts';

const event = (port: number) => ({
  ...{ kind: 'live', at: '2026-01-02T03:04:05.678Z', protocol: 'TCP', verdict: 'established' },
  from: { ip: '10.1.0.2', port, pod: 'shop/\u001b[2Jx' },
  to: { ip: '10.1.0.3', port: 80 },
});
const answer = (more: object = {}) => ({
  ...{ reader: 'r', events: [], lost: 0, overwritten: 0, notices: [] },
  ...{ isListed: true, hasMore: false, isDone: true, ...more },
});

/** Runs against an agent that gives one answer after the other. */
async function run(line: string, ...answers: readonly unknown[]) {
  const asked: DebugRequest[] = [];
  const waits: number[] = [];
  let out = '';
  let err = '';
  const left = [...answers];
  const invocation = await parseCommandLine(line.split(' '));
  if (!('flags' in invocation)) throw new Error(line);
  const ended = await runFlows(invocation.flags, {
    runDir: '/run/default',
    askAgent: (_runDir, request) => {
      asked.push(request);
      return left.length > 0 ? Promise.resolve(left.shift()) : Promise.reject(new Error('gone'));
    },
    print: (text) => {
      out += text;
    },
    printError: (text) => {
      err += text;
    },
    wait: (ms) => {
      waits.push(ms);
      return Promise.resolve();
    },
  }).catch((error: Error) => error.message);
  return { asked, waits, out, err, ended };
}

test.each([
  ['flows', {}],
  ['flows --pod shop/client', { pod: 'shop/client' }],
  ['flows --pod client --namespace shop', { pod: 'shop/client', namespace: 'shop' }],
  [
    'flows --service shop/web --node --dropped',
    { service: 'shop/web', isNode: true, isDropped: true },
  ],
])('%s', async (line, query) => {
  const { asked, ended } = await run(line, answer());
  expect(ended).toBe(0);
  expect(asked).toEqual([{ command: 'flows', query, isFollowed: false }]);
  expect(parseAsked(JSON.stringify(asked[0])).request).toEqual(asked[0]);
});

test.each([
  ['flows --pod client', /--pod: expected NAMESPACE\/NAME/],
  ['flows --output yaml', /--output: expected text, wide or json/],
  ['flows --last many', /--last: expected a number/],
])('%s is refused', async (line, message) => {
  expect((await run(line)).ended).toMatch(message);
});

test.each([{ query: { pod: 7 } }, { query: { isNode: 1 } }, { isFollowed: 'yes' }, { query: [] }])(
  'the agent does not take %j',
  (fields) => {
    expect(() => parseAsked(JSON.stringify({ command: 'flows', ...fields }))).toThrow(/expected/);
  },
);

describe('what is printed', () => {
  test('reads on until it is done, at once where there is more', async () => {
    const { asked, waits, out, ended } = await run(
      'flows --follow',
      answer({ events: [event(1)], hasMore: true, isDone: false, isListed: false }),
      answer({ events: [event(2)], isDone: false }),
      answer({ events: [event(3)] }),
    );
    expect(asked.map(({ command }) => command)).toEqual(['flows', 'more flows', 'more flows']);
    expect(waits).toEqual([250]);
    expect(out.match(/:\d+ -> /g)).toEqual([':1 -> ', ':2 -> ', ':3 -> ']);
    expect(out).not.toContain('\u001b');
    expect(ended).toBe(0);
  });

  test('JSON lines, losses among them', async () => {
    const { out } = await run('flows --output json', answer({ events: [event(1)], lost: 4 }));
    expect(
      out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual([event(1), { kind: 'lost', lost: 4, overwritten: 0 }]);
  });

  test('the last of what there was', async () => {
    const { out } = await run(
      'flows --last 2 --follow',
      answer({ events: [event(1), event(2)], isListed: false, hasMore: true, isDone: false }),
      answer({ events: [event(3)], isDone: false }),
      answer({ events: [event(4)] }),
    );
    expect(out.match(/:\d+ -> /g)).toEqual([':2 -> ', ':3 -> ', ':4 -> ']);
  });

  test('nothing, and what is missing, go to standard error', async () => {
    const { out, err } = await run('flows', answer({ notices: ['bytes are not counted'] }));
    expect(out).toBe('');
    expect(err).toBe('! bytes are not counted\nno such connection\n');
  });
});
