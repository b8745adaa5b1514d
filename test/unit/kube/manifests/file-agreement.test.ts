import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { decodeServiceAddresses } from '../../../../src/kube/decode-service-addresses.ts';
import { ADDRESSES_FILE, fileAgreement } from '../../../../src/kube/manifests/file-agreement.ts';
import { parseIP } from '../../../../src/net/ip.ts';
import { wire } from '../../../../src/netlink/wire.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

const { signal } = new AbortController();
const LEASE = { namespace: 'weft', name: 'one', leaseMs: 15_000, clock: new FakeClock() };

function setUp() {
  const directory = mkdtempSync(join(tmpdir(), 'wt-agreement-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const items = () => {
    const text = readFileSync(join(directory, ADDRESSES_FILE), 'utf8');
    // The shape is this test's to check, by the decoder.
    const list = JSON.parse(text) as { items: readonly unknown[] };
    return list.items.map((item) => decodeServiceAddresses(item, 'strict'));
  };
  const notes = () => new Map();
  return { items, agreement: fileAgreement({ directory, flock: wire.flock, notes }), directory };
}

const service = (name: string) => ({ metadata: { name, namespace: 'ns' }, spec: {} });

test('one of several agents has a lease', async () => {
  const { agreement, directory } = setUp();
  const another = fileAgreement({ directory, flock: wire.flock, notes: () => new Map() });
  const [a, b] = [agreement, another].map((each) => each.lease({ ...LEASE, identity: 'n' }));
  expect(await a?.take(signal)).toBe(true);
  expect(await b?.take(signal)).toBe(false);
  expect(await a?.take(signal)).toBe(true);
});

test('what is written is a manifest, and Services that are gone are taken out of it', async () => {
  const { agreement, items } = setUp();
  await Promise.all([
    agreement.writeAddresses(service('b'), [parseIP('192.0.2.2')], signal),
    agreement.writeAddresses(service('a'), [parseIP('192.0.2.1')], signal),
  ]);
  const told = () => items().map(({ metadata, addresses }) => [metadata.name, ...addresses]);
  expect(told()).toEqual([
    ['a', '192.0.2.1'],
    ['b', '192.0.2.2'],
  ]);
  await agreement.forgetOthers?.(new Set(['ns/b']), signal);
  expect(told()).toEqual([['b', '192.0.2.2']]);
});

test('who has the lock of a file that was taken away has it no more', async () => {
  const { agreement, directory } = setUp();
  const another = fileAgreement({ directory, flock: wire.flock, notes: () => new Map() });
  const [a, b] = [agreement, another].map((each) => each.lease({ ...LEASE, identity: 'n' }));
  expect(await a?.take(signal)).toBe(true);
  rmSync(join(directory, '.one.lock'));
  expect(await b?.take(signal)).toBe(true);
  expect(await a?.take(signal)).toBe(false);
});

test('who has the lock again goes on with what others have written meanwhile', async () => {
  const { directory, items } = setUp();
  const written = new Map([['ns/z', { addresses: [parseIP('192.0.2.26')] }]]);
  const notes = vi.fn(() => new Map());
  const agreement = fileAgreement({ directory, flock: wire.flock, notes });
  const lease = agreement.lease({ ...LEASE, identity: 'n' });
  expect(await lease.take(signal)).toBe(true);
  await agreement.writeAddresses(service('a'), [parseIP('192.0.2.1')], signal);
  rmSync(join(directory, '.one.lock'));
  notes.mockReturnValue(written);
  expect(await lease.take(signal)).toBe(true);
  await agreement.writeAddresses(service('b'), [parseIP('192.0.2.2')], signal);
  expect(items().map(({ metadata }) => metadata.name)).toEqual(['b', 'z']);
});

test('a lock that the server of the file has lost is held no more', async () => {
  const { directory } = setUp();
  const flock = vi.fn(wire.flock);
  const lease = fileAgreement({ directory, flock, notes: () => new Map() }).lease({
    ...{ ...LEASE, identity: 'n' },
  });
  expect(await lease.take(signal)).toBe(true);
  flock.mockReturnValue(false);
  expect(await lease.take(signal)).toBe(false);
});

test('a Service that could not be taken out is taken out later', async () => {
  const { agreement, directory, items } = setUp();
  await agreement.writeAddresses(service('a'), [parseIP('192.0.2.1')], signal);
  const file = join(directory, ADDRESSES_FILE);
  rmSync(file);
  mkdirSync(join(file, 'in-the-way'), { recursive: true });
  await expect(agreement.forgetOthers?.(new Set(), signal)).rejects.toThrow();
  rmSync(file, { recursive: true });
  await agreement.forgetOthers?.(new Set(), signal);
  expect(items()).toEqual([]);
});
