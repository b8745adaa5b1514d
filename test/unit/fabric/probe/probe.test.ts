import { describe, expect, test } from 'vitest';
import { decodeProbe, encodeProbe } from '../../../../src/fabric/probe/message.ts';
import type { PathFinding, ProbedPath } from '../../../../src/fabric/probe/path.ts';
import { pathProblem } from '../../../../src/fabric/probe/path.ts';
import { Prober, type ProbeSocket } from '../../../../src/fabric/probe/prober.ts';
import { HEADER_BYTES } from '../../../../src/fabric/probe/search.ts';
import { type IP, parseIP } from '../../../../src/net/ip.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

const PORT = 8473;
const TARGET = parseIP('10.244.2.0');
const PATH: ProbedPath = { node: 'n2', family: 4, target: TARGET, way: 'vxlan' };
const ALLOWED = new Set(['192.0.2.2', '192.0.2.3'].map(parseIP));

/** A path that carries packets up to `mtu` bytes, to a node that answers; `mtu` 0 carries nothing. */
class FakePath implements ProbeSocket {
  readonly sizes: number[] = [];
  readonly answered: { to: IP; message: Buffer }[] = [];
  mtu: number;
  #listener: (message: Buffer, from: IP, port: number) => void = () => {};

  constructor(mtu: number) {
    this.mtu = mtu;
  }

  send(to: IP, port: number, message: Buffer): void {
    const asked = decodeProbe(message);
    if (asked?.kind !== 'ask') {
      this.answered.push({ to, message });
      return;
    }
    this.sizes.push(asked.bytes + HEADER_BYTES[4]);
    if (asked.bytes + HEADER_BYTES[4] > this.mtu) return;
    this.arrive(encodeProbe({ ...asked, kind: 'answer' }), to, port);
  }

  arrive(message: Buffer, from: IP, port = PORT): void {
    this.#listener(message, from, port);
  }

  onMessage(listener: (message: Buffer, from: IP, port: number) => void): void {
    this.#listener = listener;
  }

  close(): void {}
}

function probing(mtu: number, knownMtu: (sizes: readonly number[]) => number | undefined) {
  const clock = new FakeClock();
  const path = new FakePath(mtu);
  const findings: PathFinding[] = [];
  let id = 0n;
  const prober = new Prober({
    ...{ socket: path, port: PORT, clock },
    randomId: () => ++id,
    knownMtu: () => knownMtu(path.sizes),
    onFinding: (finding) => findings.push(finding),
  });
  prober.follow([PATH], 1450, ALLOWED);
  const found = async () => {
    for (let i = 0; i < 4_000 && findings.length === 0; i += 1) await clock.advance(20);
    return findings.shift();
  };
  return { clock, path, prober, found };
}

const unknown = () => undefined;

describe('what a path carries', () => {
  test('packets of the size of pods: one is enough', async () => {
    const { path, found } = probing(1450, unknown);
    expect(await found()).toMatchObject({ mtu: 1450, wanted: 1450 });
    expect(path.sizes).toEqual([1450]);
  });

  test.each([1449, 1400, 1280, 600])('%i bytes, larger ones lost without a word', async (mtu) => {
    const finding = await probing(mtu, unknown).found();
    expect(finding?.mtu).toBeLessThanOrEqual(mtu);
    expect(finding?.mtu).toBeGreaterThan(mtu - 9);
  });

  test('a peer that comes up while it is asked lost packets of every size', async () => {
    const { clock, path, found } = probing(0, unknown);
    for (let i = 0; i < 4_000 && path.sizes.length < 4; i += 1) await clock.advance(20);
    expect(path.sizes).toEqual([1450, 1450, 1450, 576]);
    path.mtu = 1450;
    expect(await found()).toMatchObject({ mtu: 1450, wanted: 1450 });
  });

  test('what a router says is believed, also when larger packets arrive in fragments', async () => {
    const { path, found } = probing(1450, (sizes) => (sizes.length === 0 ? undefined : 1400));
    expect(await found()).toMatchObject({ mtu: 1400 });
    expect(path.sizes).toEqual([1450]);
  });

  test('nothing', async () => {
    const finding = await probing(0, unknown).found();
    expect(finding).toMatchObject({ mtu: 0, roundTripMs: undefined });
    expect(finding && pathProblem(finding)).toBeUndefined();
  });

  test('a smaller size is a problem with its cure, and gone once it fits', async () => {
    const { path, found } = probing(1400, unknown);
    const finding = await found();
    expect(finding && pathProblem(finding)).toMatch(
      /^node n2: packets of 1450 bytes, the MTU of pods, do not arrive \(IPv4, by VXLAN\), those of 139\d do: .* set fabric.mtu: 139\d$/,
    );
    path.mtu = 9000;
    const later = await found();
    expect(later && pathProblem(later)).toBeUndefined();
  });
});

test('a path that is told of again while it is looked at keeps what was found', async () => {
  const { clock, prober, found } = probing(1400, unknown);
  const startedAtMs = clock.now();
  const finding = found();
  await Promise.resolve();
  prober.follow([{ ...PATH }], 1450, ALLOWED);
  expect(await finding).toMatchObject({ wanted: 1450 });
  expect(clock.now() - startedAtMs).toBeLessThan(30_000);
});

test('after the end nothing is asked any more, of the kernel neither', async () => {
  let isClosed = false;
  let late = 0;
  const { clock, path, prober, found } = probing(0, () => {
    if (isClosed) late += 1;
    return undefined;
  });
  await clock.advance(40);
  expect(path.sizes).toEqual([1450]);
  isClosed = true;
  prober.close();
  expect(await found()).toBeUndefined();
  expect([path.sizes, late]).toEqual([[1450], 0]);
});

test('a thousand peers that answer nothing hold nobody up', async () => {
  const clock = new FakeClock();
  const path = new FakePath(1400);
  const send = path.send.bind(path);
  path.send = (to, port, message) => {
    if (to === TARGET) send(to, port, message);
  };
  const found = new Map<string, number>();
  let id = 0n;
  const prober = new Prober({
    ...{ socket: path, port: PORT, clock, randomId: () => ++id, knownMtu: unknown },
    onFinding: ({ path: { node }, mtu }) => found.set(node, mtu),
  });
  const silent = Array.from({ length: 1_000 }, (_, i) => {
    return { ...PATH, node: `silent${i}`, target: parseIP(`10.200.${i >> 8}.${i & 255}`) };
  });
  prober.follow([...silent, PATH], 1450, ALLOWED);
  const startedAtMs = clock.now();
  while (!found.has('n2') && clock.now() - startedAtMs < 120_000) await clock.advance(20);
  expect(found.get('n2')).toBeGreaterThan(1390);
  prober.close();
});

describe('answers', () => {
  const question = encodeProbe({ kind: 'ask', id: 7n, bytes: 1400 });

  test('peers are answered, shortly', () => {
    const { path } = probing(1450, unknown);
    path.arrive(question, parseIP('192.0.2.2'));
    expect(path.answered).toHaveLength(1);
    expect(path.answered[0]?.message.length).toBe(16);
  });

  test.each([
    ['strangers', question, '192.0.2.9'],
    ['a question cut short', question.subarray(0, 800), '192.0.2.2'],
    ['something else', Buffer.from('hello, is this the place for probes?'), '192.0.2.2'],
    ['nothing', Buffer.alloc(0), '192.0.2.2'],
  ])('%s are not', (_, message, from) => {
    const { path } = probing(1450, unknown);
    path.arrive(message, parseIP(from));
    expect(path.answered).toEqual([]);
  });

  test('who asks, or is said to ask, for too much leaves answers to others', () => {
    const { path } = probing(1450, unknown);
    for (let i = 0; i < 5_000; i += 1) path.arrive(question, parseIP('192.0.2.2'));
    expect(path.answered).toHaveLength(50);
    path.arrive(question, parseIP('192.0.2.3'));
    expect(path.answered.at(-1)?.to).toBe('192.0.2.3');
  });

  test('at most a thousand in a second', () => {
    const { path, prober } = probing(1450, unknown);
    const peers = Array.from({ length: 100 }, (_, i) => parseIP(`192.0.2.${i}`));
    prober.follow([PATH], 1450, new Set(peers));
    for (const peer of peers) for (let i = 0; i < 50; i += 1) path.arrive(question, peer);
    expect(path.answered).toHaveLength(1_000);
  });

  test('an answer to no question changes nothing', async () => {
    const { path, found } = probing(0, unknown);
    path.arrive(encodeProbe({ kind: 'answer', id: 99n, bytes: 1422 }), TARGET);
    expect(await found()).toMatchObject({ mtu: 0 });
  });
});
