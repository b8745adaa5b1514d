import { afterEach, describe, expect, test } from 'vitest';
import type { DebugRequest } from '../../../src/agent/debug/protocol.ts';
import { type RemotePage, servePageOf } from '../../../src/agent/page/remote.ts';
import { parseCommandLine } from '../../../src/cli/command-line.ts';
import { runUi } from '../../../src/cli/commands/ui.ts';
import { IoError } from '../../../src/util/errors.ts';
import { smallNode } from '../../support/page/snapshots.ts';

async function run(line: string, address: string) {
  let out = '';
  const ports: number[] = [];
  const invocation = await parseCommandLine(line.split(' '));
  if (!('flags' in invocation)) throw new Error(line);
  const ended = await runUi(invocation.flags, {
    runDir: '/run/default',
    askAgent: () => Promise.resolve({ address, snapshot: smallNode() }),
    print: (text) => {
      out += text;
    },
    servePage: ({ port }) => {
      ports.push(port);
      const url = 'http://127.0.0.1:8474/#token=x';
      return Promise.resolve({ url, ended: Promise.resolve() });
    },
  }).catch((error: Error) => error.message);
  return { out, ports, ended };
}

test.each([
  ['ui', '8474', { out: 'http://127.0.0.1:8474/\n', ports: [], ended: 0 }],
  ['ui', '[2001:db8::7]:80', { out: 'http://[2001:db8::7]:80/\n', ports: [], ended: 0 }],
  ['ui', '0.0.0.0:80', { out: 'http://127.0.0.1:80/\n', ports: [], ended: 0 }],
  ['ui', '', { out: expect.stringContaining('/#token=x\n'), ports: [0], ended: 0 }],
  ['ui --port 8474', '', { out: expect.anything(), ports: [8474], ended: 0 }],
  [
    'ui --port 70000',
    '',
    { out: '', ports: [], ended: '--port: expected a number up to 65535, found "70000"' },
  ],
])('%s where the agent has "%s"', async (line, address, want) => {
  expect(await run(line, address)).toEqual(want);
});

describe('the page of weft ui', () => {
  const pages: RemotePage[] = [];
  afterEach(async () => {
    await Promise.all(pages.splice(0).map((page) => page.close()));
  });

  test('asks the agent, and only for those who have its token', async () => {
    const asked: DebugRequest[] = [];
    const answers: Readonly<Record<string, object>> = {
      page: { address: '', snapshot: smallNode() },
    };
    const page = await servePageOf({
      port: 0,
      ask: (request) => {
        asked.push(request);
        return Promise.resolve(answers[request.command]);
      },
    });
    pages.push(page);
    const [url = '', token = ''] = page.url.split('/#token=');
    expect((await fetch(`${url}/api/snapshot`)).status).toBe(401);
    const headers = { Authorization: `Bearer ${token}` };
    const response = await fetch(`${url}/api/snapshot`, { headers });
    expect([response.status, await response.json()]).toEqual([200, smallNode()]);
    expect(asked).toEqual([{ command: 'page' }]);
  });

  test('an agent that is gone is said in words', async () => {
    const page = await servePageOf({
      port: 0,
      ask: () => Promise.reject(new IoError('nobody answers')),
    });
    pages.push(page);
    const [url = '', token = ''] = page.url.split('/#token=');
    const headers = { Authorization: `Bearer ${token}` };
    const response = await fetch(`${url}/api/explain?from=a/b&to=a/c&port=80`, { headers });
    expect([response.status, await response.json()]).toEqual([400, { problem: 'nobody answers' }]);
  });
});
