import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { netnses } from '../../src/kernel/netns.ts';
import { openRtnl } from '../../src/kernel/rtnl.ts';
import {
  bucketOf,
  isSameBucket,
  readShaping,
  removeShaping,
  shapeEgress,
  shapeIngress,
} from '../../src/kernel/shaping.ts';
import type { Link, NodeRtnl } from '../../src/kernel/types.ts';
import { parseMac } from '../../src/net/mac.ts';
import { connect, createNetns, type TestNetns } from '../support/netns.ts';

const IFB = { name: 'bwp0', mac: parseMac('02:00:00:00:00:09') };
const EIGHT_MEGABITS = { rateBits: 8_000_000, burstBits: 80_000 };

let node: TestNetns;
let pod: TestNetns;
let rtnl: NodeRtnl;

beforeAll(() => {
  node = createNetns('node');
  pod = createNetns('pod');
  const netns = netnses.open(node.path);
  rtnl = openRtnl(netns);
  netns.close();
});

beforeEach(() => {
  const old = rtnl.link('vh');
  if (old !== undefined) rtnl.deleteLink(old.index);
  connect(
    { netns: node, link: 'vh', addresses: ['10.0.0.1/24'] },
    { netns: pod, link: 'eth0', addresses: ['10.0.0.2/24'] },
  );
});

afterAll(() => {
  rtnl.close();
  node.remove();
  pod.remove();
});

function hostEnd(): Link {
  const link = rtnl.link('vh');
  if (link === undefined) throw new Error('no veth');
  return link;
}

const tc = (...args: string[]) => node.run('tc', ...args);

describe('readShaping', () => {
  test('nothing is shaped in the beginning', () => {
    expect(readShaping(rtnl, hostEnd().index, IFB.name)).toEqual({});
  });

  test('what was set is read back, also after it was set again otherwise', () => {
    const end = hostEnd();
    for (const rateBits of [8_000_000, 16_000_000]) {
      const limit = { rateBits, burstBits: 160_000 };
      shapeIngress(rtnl, end.index, limit);
      shapeEgress(rtnl, end, IFB, limit);
      const { ingress, egress } = readShaping(rtnl, end.index, IFB.name);
      expect(ingress).toEqual(egress);
      expect(ingress && isSameBucket(bucketOf(limit), ingress)).toBe(true);
    }
    expect(tc('qdisc', 'show', 'dev', 'vh')).toContain('tbf 1: root refcnt');
    expect(tc('qdisc', 'show', 'dev', IFB.name)).toContain('rate 16Mbit burst 20000b lat 25ms');
    const filters = tc('filter', 'show', 'dev', 'vh', 'ingress');
    expect(filters.match(/Egress Redirect to device bwp0/g)).toHaveLength(1);
    expect(rtnl.link(IFB.name)).toMatchObject({ kind: 'ifb', isUp: true, mtu: 1500 });
  });

  test('rates above 32 bits are whole', () => {
    const limit = { rateBits: 40_000_000_000, burstBits: 1_000_000_000 };
    shapeIngress(rtnl, hostEnd().index, limit);
    expect(tc('qdisc', 'show', 'dev', 'vh')).toContain('rate 40Gbit');
    const { ingress } = readShaping(rtnl, hostEnd().index, IFB.name);
    expect(ingress && isSameBucket(bucketOf(limit), ingress)).toBe(true);
  });

  test('a limit whose redirect is gone is no limit', () => {
    const end = hostEnd();
    shapeEgress(rtnl, end, IFB, EIGHT_MEGABITS);
    tc('qdisc', 'del', 'dev', 'vh', 'clsact');
    expect(readShaping(rtnl, end.index, IFB.name).egress).toBeUndefined();
    shapeEgress(rtnl, end, IFB, EIGHT_MEGABITS);
    expect(readShaping(rtnl, end.index, IFB.name).egress).toBeDefined();
  });
});

describe('sharing the link', () => {
  test.each(['ingress', 'clsact'])('the %s qdisc and filters of others stay', (kind) => {
    const end = hostEnd();
    tc('qdisc', 'add', 'dev', 'vh', kind);
    const other = ['match', 'u32', '0xffffffff', '0xffffffff', 'action', 'mirred', 'egress'];
    tc(
      ...['filter', 'add', 'dev', 'vh', 'ingress', 'prio', '9', 'u32'],
      ...[...other, 'redirect', 'dev', 'vh'],
    );
    shapeEgress(rtnl, end, IFB, EIGHT_MEGABITS);
    shapeEgress(rtnl, end, IFB, EIGHT_MEGABITS);
    expect(readShaping(rtnl, end.index, IFB.name).egress).toBeDefined();
    removeShaping(rtnl, end.index, IFB.name);
    expect(tc('filter', 'show', 'dev', 'vh', 'ingress')).toMatch(/pref 9 u32/);
    expect(tc('filter', 'show', 'dev', 'vh', 'ingress')).not.toMatch(/pref 49408/);
  });

  test('another qdisc at the root makes way, even under our handle', () => {
    tc('qdisc', 'add', 'dev', 'vh', 'root', 'handle', '1:', 'htb');
    shapeIngress(rtnl, hostEnd().index, EIGHT_MEGABITS);
    expect(tc('qdisc', 'show', 'dev', 'vh')).toContain('tbf 1: root');
  });

  test('a link of another kind under the name of the ifb is an error', () => {
    rtnl.createBridge({ name: 'notifb', mac: IFB.mac });
    const wrong = { ...IFB, name: 'notifb' };
    expect(() => shapeEgress(rtnl, hostEnd(), wrong, EIGHT_MEGABITS)).toThrow(
      '"notifb" already exists but is not an ifb',
    );
  });
});

describe('removeShaping', () => {
  test('leaves nothing that slows, and may be repeated', () => {
    const end = hostEnd();
    shapeIngress(rtnl, end.index, EIGHT_MEGABITS);
    shapeEgress(rtnl, end, IFB, EIGHT_MEGABITS);
    removeShaping(rtnl, end.index, IFB.name);
    removeShaping(rtnl, end.index, IFB.name);
    removeShaping(rtnl, 424242, IFB.name);
    expect(readShaping(rtnl, end.index, IFB.name)).toEqual({});
    expect(rtnl.link(IFB.name)).toBeUndefined();
    expect(tc('qdisc', 'show', 'dev', 'vh')).not.toContain('tbf');
  });
});

describe('traffic', () => {
  /** Megabits per second of what `from` sends to `to` in half a second of TCP. */
  async function throughput(from: TestNetns, to: TestNetns, address: string): Promise<number> {
    const receive = `
      let bytes = 0, start;
      require('node:net').createServer((socket) => {
        start = performance.now();
        socket.on('data', (part) => { bytes += part.length; });
        setTimeout(() => {
          console.log(bytes * 8 / 1000 / (performance.now() - start));
          process.exit();
        }, 500);
      }).listen(5000, () => console.error('ready'));`;
    const send = `
      const socket = require('node:net').connect(5000, '${address}');
      const part = Buffer.alloc(65536);
      const fill = () => { while (socket.write(part)); };
      socket.on('connect', fill).on('drain', fill).on('error', () => process.exit());`;
    const receiver = to.start(process.execPath, ['-e', receive]);
    await new Promise((resolve) => receiver.stderr?.once('data', resolve));
    const sender = from.start(process.execPath, ['-e', send]);
    const text = await new Promise<string>((resolve) =>
      receiver.stdout?.once('data', (part: Buffer) => resolve(part.toString())),
    );
    sender.kill('SIGKILL');
    return Number(text);
  }

  test.each([
    ['ingress', () => shapeIngress(rtnl, hostEnd().index, EIGHT_MEGABITS)],
    ['egress', () => shapeEgress(rtnl, hostEnd(), IFB, EIGHT_MEGABITS)],
  ])(
    '%s is limited to 8 Mbit/s, the other direction is not',
    { timeout: 20_000 },
    async (direction, shape) => {
      shape();
      const toPod = () => throughput(node, pod, '10.0.0.2');
      const fromPod = () => throughput(pod, node, '10.0.0.1');
      const [limited, free] = direction === 'ingress' ? [toPod, fromPod] : [fromPod, toPod];
      const slow = await limited();
      expect(slow).toBeGreaterThan(3);
      expect(slow).toBeLessThan(10);
      expect(await free()).toBeGreaterThan(100);
    },
  );
});
