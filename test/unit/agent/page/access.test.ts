import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { Access } from '../../../../src/agent/page/access.ts';
import { tokenFile } from '../../../../src/agent/page/token-file.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { type ServedPage, servePage } from '../../../support/page/served-page.ts';
import { smallNode } from '../../../support/page/snapshots.ts';

const TOKEN = 'a-token-of-some-length';
const pages: ServedPage[] = [];
afterEach(async () => {
  await Promise.all(pages.splice(0).map((page) => page.close()));
});

async function served(token?: string): Promise<string> {
  const page = await servePage({
    snapshot: smallNode(),
    ...(token === undefined ? {} : { token }),
  });
  pages.push(page);
  return page.url;
}

const DATA = ['/api/snapshot', '/api/events', '/api/explain?from=10.0.0.1&to=10.0.0.2&port=80'];

test.each(DATA)('%s is nothing that pages of others may ask for', async (path) => {
  const url = await served();
  const asked = (site: string) => fetch(url + path, { headers: { 'Sec-Fetch-Site': site } });
  for (const site of ['cross-site', 'same-site']) expect((await asked(site)).status).toBe(403);
  for (const site of ['same-origin', 'none']) {
    const { status, body } = await asked(site);
    expect(status).not.toBe(403);
    await body?.cancel();
  }
});

describe('with a token', () => {
  test.each(DATA)('%s is refused without one', async (path) => {
    const url = await served(TOKEN);
    const headers = [{}, { Authorization: 'Bearer wrong' }, { Cookie: 'weft-page=00' }];
    for (const each of headers) {
      const response = await fetch(url + path, { headers: each });
      expect([response.status, await response.text()]).toEqual([401, expect.any(String)]);
    }
  });

  test('it is taken in the header, and for a session that holds no token', async () => {
    const url = await served(TOKEN);
    const bearer = { Authorization: `Bearer ${TOKEN}` };
    expect((await fetch(`${url}/api/snapshot`, { headers: bearer })).status).toBe(200);
    const opened = await fetch(`${url}/api/session`, { method: 'POST', headers: bearer });
    const { session } = (await opened.json()) as { session: string };
    expect(session).toMatch(/^[0-9a-f]{64}$/);
    const headers = { Authorization: `Bearer ${session}` };
    expect((await fetch(`${url}/api/snapshot`, { headers })).status).toBe(200);
  });

  test('nothing is left with the browser that it sends by itself, to other ports of the host too', async () => {
    const url = await served(TOKEN);
    const headers = { Authorization: `Bearer ${TOKEN}` };
    const opened = await fetch(`${url}/api/session`, { method: 'POST', headers });
    const { session } = (await opened.json()) as { session: string };
    expect(opened.headers.has('set-cookie')).toBe(false);
    const cookie = { Cookie: `weft-page=${session}` };
    expect((await fetch(`${url}/api/snapshot`, { headers: cookie })).status).toBe(401);
  });

  test('not in the address, which is logged on the way', async () => {
    const url = await served(TOKEN);
    expect((await fetch(`${url}/api/snapshot?token=${TOKEN}`)).status).toBe(401);
  });

  describe('guesses', () => {
    const attempts = (access: Access, source: string, count: number, given = 'wrong') =>
      Array.from({ length: count }, () => {
        return access.refuse({ headers: { authorization: `Bearer ${given}` }, source })?.status;
      });
    const open = (clock: FakeClock) => new Access({ clock, hostNames: [], token: () => TOKEN });

    test('many wrong ones are not even looked at', () => {
      const clock = new FakeClock();
      const access = open(clock);
      expect(attempts(access, '192.0.2.1', 12)).toEqual([...Array(10).fill(401), 429, 429]);
      expect(attempts(access, '192.0.2.1', 1, TOKEN)).toEqual([429]);
      clock.advance(1_000);
      expect(attempts(access, '192.0.2.1', 2)).toEqual([401, 429]);
    });

    test.each([
      ['192.0.2.1', '192.0.2.2', undefined],
      ['192.0.2.1', '::ffff:192.0.2.1', 429],
      ['2001:db8::1', '2001:db8::2', 429],
      ['2001:db8::1', '2001:db8:0:1::1', undefined],
      ['fe80::1%eth0', 'fe80::2%eth0', 429],
    ])('of %s leave %s alone, unless it is the same place', (one, other, status) => {
      const access = open(new FakeClock());
      attempts(access, one, 20);
      expect(attempts(access, other, 1, TOKEN)).toEqual([status]);
    });

    test('leave alone who has a session, wherever they come from', () => {
      const access = open(new FakeClock());
      const headers = { authorization: `Bearer ${TOKEN}` };
      const { body } = access.open({ headers, source: '127.0.0.1' });
      const { session } = JSON.parse(String(body)) as { session: string };
      attempts(access, '127.0.0.1', 20);
      expect(attempts(access, '127.0.0.1', 30, session)).toEqual(Array(30).fill(undefined));
    });
  });
});

describe('names that the page is asked for by', () => {
  const access = new Access({ clock: new FakeClock(), hostNames: ['node-1'], token: undefined });
  test.each([
    ['127.0.0.1:8474', undefined],
    ['localhost:8474', undefined],
    ['[::1]:8474', undefined],
    ['192.0.2.7', undefined],
    ['NODE-1:8474', undefined],
    ['evil.example:8474', 421],
    ['localhost.evil.example', 421],
    ['127.0.0.1.evil.example', 421],
    ['', 421],
  ])('%s: %s', (host, status) => {
    expect(access.refuseHost({ host })?.status).toBe(status);
  });
});

test('the policy of the page lets nothing in from elsewhere, and nothing inline', async () => {
  const { headers } = await fetch(`${await served()}/api/snapshot`);
  const policy = headers.get('content-security-policy') ?? '';
  expect(policy).toContain("default-src 'none'; script-src 'self'");
  expect(policy).not.toMatch(/unsafe|https?:|\*/);
  expect(headers.get('cache-control')).toBe('no-store');
});

test('nothing can be written', async () => {
  const url = await served();
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
    const response = await fetch(`${url}/api/snapshot`, { method });
    expect([method, response.status]).toEqual([method, 405]);
  }
});

describe('the file of the token', () => {
  const directory = mkdtempSync(join(tmpdir(), 'weft-token-'));
  const path = join(directory, 'token');
  afterEach(() => rmSync(path, { force: true }));
  test.each([
    ['short', /at least 16 characters/],
    ['two words of some length', /one word/],
    ['x'.repeat(5_000), /more than 4096 bytes/],
  ])('%s is refused', (text, reason) => {
    writeFileSync(path, text);
    expect(tokenFile(path, new FakeClock())).toThrow(reason);
  });

  test('one that is missing is named', () => {
    expect(tokenFile(path, new FakeClock())).toThrow(`uiTokenFile ${path}: ENOENT`);
  });

  test('a replaced one is taken over', () => {
    const clock = new FakeClock();
    writeFileSync(path, `${TOKEN}\n`);
    const token = tokenFile(path, clock);
    expect(token()).toBe(TOKEN);
    writeFileSync(path, 'another-token-of-length');
    clock.advance(6_000);
    expect(token()).toBe('another-token-of-length');
    rmSync(directory, { recursive: true, force: true });
  });
});
