/** Rate limits with real traffic, what they leave behind, and in turns with the reference plugin. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { bandwidth } from '../../src/cni/bandwidth/bandwidth.ts';
import { ifbNames } from '../../src/cni/bandwidth/ifb.ts';
import type { Result } from '../../src/cni/protocol/result.ts';
import { type MemberCall, MemberLab, type MemberPod } from '../support/member-lab.ts';
import type { TestNetns } from '../support/netns.ts';
import { startIn } from '../support/workloads.ts';

const reference = '/usr/lib/cni/bandwidth';
const both = { ingressRate: 8e6, ingressBurst: 8e5, egressRate: 16e6, egressBurst: 8e5 };
/** What containerd sends for the two annotations. */
const runtimeBurst = { ingressRate: 8e6, ingressBurst: 0xffffffff };

let lab: MemberLab;
let a: MemberPod;
let b: MemberPod;

beforeAll(() => {
  lab = new MemberLab();
  lab.host.run('sysctl', '-qw', 'net.ipv4.ip_forward=1');
  a = lab.pod(1);
  b = lab.pod(2);
});
afterAll(() => lab.remove());
beforeEach(() => {
  for (const name of ifbs()) lab.host.run('ip', 'link', 'del', name);
  for (const { hostEnd } of [a, b]) {
    lab.host.attempt('tc', ['qdisc', 'del', 'dev', hostEnd, 'root']);
    lab.host.attempt('tc', ['qdisc', 'del', 'dev', hostEnd, 'clsact']);
    lab.host.attempt('tc', ['qdisc', 'del', 'dev', hostEnd, 'ingress']);
  }
});

function add(pod: MemberPod, config: object, options: MemberCall = {}): Result {
  return bandwidth.add(lab.call('ADD', pod, config, options), pod.previous, []);
}
function del(pod: MemberPod, options: MemberCall = {}): void {
  bandwidth.del({ ...lab.call('DEL', pod, {}, options), netns: undefined });
}
function check(pod: MemberPod, config: object): void {
  bandwidth.check(lab.call('CHECK', pod, config), pod.previous);
}
function ifbs(): string[] {
  const links = lab.host.ip<{ ifname: string }[]>('link', 'show', 'type', 'ifb');
  return links.flatMap(({ ifname }) => ifname ?? []);
}
const ifbOf = (pod: MemberPod) =>
  ifbNames({ network: 'net', containerId: pod.id, ifName: 'eth0' })[0];
const qdiscs = (pod: MemberPod) => lab.host.run('tc', 'qdisc', 'show', 'dev', pod.hostEnd);

/** Kilobytes that arrive within 1.5 s of sending without pause. */
async function transfer(from: TestNetns, to: TestNetns, host: string): Promise<number> {
  const receiver = await startIn(
    to.path,
    [
      process.execPath,
      '-e',
      `let n = 0;
       require('node:net').createServer((s) => {
         setTimeout(() => { console.log('got', n); process.exit(); }, 1500);
         s.on('data', (d) => { n += d.length; });
         s.on('error', () => {});
       }).listen(7000, () => console.log('ready'));
       setTimeout(() => process.exit(1), 8000);`,
    ],
    'ready',
  );
  const sender = await startIn(
    from.path,
    [
      process.execPath,
      '-e',
      `const s = require('node:net').connect(7000, '${host}');
       const send = () => { while (s.write(Buffer.alloc(65536))); };
       s.on('connect', send).on('drain', send).on('error', () => process.exit());`,
    ],
    undefined,
  );
  await receiver.ended;
  await sender.end('SIGKILL');
  return Number(/got (\d+)/.exec(receiver.output())?.[1]) / 1000;
}

describe('[127] traffic', () => {
  test('both directions are limited, and for this pod only', async () => {
    add(a, both);
    const ingress = await transfer(lab.host, a.netns, '10.22.1.2');
    const egress = await transfer(a.netns, lab.host, '10.22.1.1');
    const others = await transfer(lab.host, b.netns, '10.22.2.2');
    expect(ingress).toBeGreaterThan(700);
    expect(ingress).toBeLessThan(2200);
    expect(egress).toBeGreaterThan(1500);
    expect(egress).toBeLessThan(4000);
    expect(others).toBeGreaterThan(20_000);
  }, 20_000);

  test('the burst a runtime fills in does not lift the limit', async () => {
    add(a, { runtimeConfig: { bandwidth: runtimeBurst } });
    expect(await transfer(lab.host, a.netns, '10.22.1.2')).toBeLessThan(2500);
  }, 20_000);
});

describe('ADD', () => {
  test('the ifb is the last interface of the result', () => {
    const result = add(a, both);
    const [link] = lab.host.ip<{ address: string }[]>('link', 'show', ifbOf(a));
    expect(result.interfaces.slice(0, -1)).toEqual(a.previous.interfaces);
    expect(result.interfaces.at(-1)).toEqual({ name: ifbOf(a), mac: link?.address });
    expect(qdiscs(a)).toContain('rate 8Mbit');
    expect(lab.host.run('tc', 'qdisc', 'show', 'dev', ifbOf(a))).toContain('rate 16Mbit');
  });

  test('ingress alone makes no ifb, egress alone no tbf on the veth', () => {
    const ingress = { ingressRate: 8e6, ingressBurst: 8e5 };
    expect(add(a, ingress)).toEqual(a.previous);
    expect(ifbs()).toEqual([]);
    add(b, { egressRate: 8e6, egressBurst: 8e5 });
    expect(qdiscs(b)).not.toContain('tbf');
    expect(ifbs()).toEqual([ifbOf(b)]);
  });

  test('a repeated one changes nothing, one that asks for less takes away', () => {
    add(a, both);
    add(a, both);
    expect(ifbs()).toEqual([ifbOf(a)]);
    check(a, both);
    add(a, { ingressRate: 4e6, ingressBurst: 8e5 });
    expect(ifbs()).toEqual([]);
    expect(qdiscs(a)).toContain('rate 4Mbit');
    expect(lab.host.run('tc', 'filter', 'show', 'dev', a.hostEnd, 'ingress')).toBe('');
  });

  test('its undo takes everything back', () => {
    const steps: (() => void)[] = [];
    bandwidth.add(lab.call('ADD', a, both), a.previous, steps);
    for (const step of steps.reverse()) step();
    expect(ifbs()).toEqual([]);
    expect(qdiscs(a)).not.toContain('tbf');
  });

  test('a second interface of the container on the same network gets an ifb of its own', () => {
    add(a, both);
    a.netns.run('ip', 'link', 'add', 'net1', 'type', 'veth', 'peer', 'v9', 'netns', lab.host.name);
    lab.host.run('ip', 'link', 'set', 'v9', 'up');
    const previous = { ...a.previous, interfaces: [{ name: 'v9' }] };
    bandwidth.add(lab.call('ADD', a, both, { ifName: 'net1' }), previous, []);
    expect(ifbs()).toHaveLength(2);
    del(a, { ifName: 'net1' });
    expect(ifbs()).toEqual([ifbOf(a)]);
    a.netns.run('ip', 'link', 'del', 'net1');
  });

  test.each([
    ['no interfaces', () => ({ ...a.previous, interfaces: [] }), 'no interfaces provided'],
    [
      "interfaces without the veth's peer",
      () => ({ ...a.previous, interfaces: [{ name: 'v2' }] }),
      'no veth peer of container interface found in host ns',
    ],
  ])('%s are refused', (_, previous, message) => {
    expect(() => bandwidth.add(lab.call('ADD', a, both), previous(), [])).toThrow(message);
    expect(ifbs()).toEqual([]);
  });

  test('an interface that is no veth is refused', () => {
    const call = lab.call('ADD', a, both, { ifName: 'lo' });
    const message = 'container interface lo has no veth peer';
    expect(() => bandwidth.add(call, a.previous, [])).toThrow(message);
  });
});

describe('CHECK', () => {
  test.each([
    ['nothing configured', {}, undefined],
    ['as configured', both, undefined],
    ['another rate', { ...both, egressRate: 3e6 }, /^egress of .* limited to 16000000 bits/],
    ['another burst', { ...both, ingressBurst: 9e6 }, /^ingress of "v1" is limited to/],
  ])('%s', (_, config, problem) => {
    add(a, both);
    if (problem === undefined) check(a, config);
    else expect(() => check(a, config)).toThrow(problem);
  });

  test.each([
    ['the ifb', () => lab.host.run('ip', 'link', 'del', ifbOf(a)), 'missing ifb'],
    ['the tbf', () => lab.host.run('tc', 'qdisc', 'del', 'dev', 'v1', 'root'), 'is not limited'],
    ['the filter', () => lab.host.run('tc', 'qdisc', 'del', 'dev', 'v1', 'clsact'), 'not limited'],
  ])('%s is missed', (_, remove, problem) => {
    add(a, both);
    remove();
    expect(() => check(a, both)).toThrow(problem);
  });
});

describe('DEL and GC', () => {
  test('DEL needs the key only, and may be repeated', () => {
    add(a, both);
    add(b, both);
    del(a);
    del(a);
    expect(ifbs()).toEqual([ifbOf(b)]);
    del(b, { network: 'other' });
    expect(ifbs()).toEqual([ifbOf(b)]);
  });

  test('GC keeps what is valid and what belongs to other networks', () => {
    add(a, both);
    add(b, both);
    add(b, both, { network: 'other' });
    lab.host.run('ip', 'link', 'add', 'bwpforeign', 'type', 'ifb');
    bandwidth.gc(lab.gcCall([a]));
    const [others] = ifbNames({ network: 'other', containerId: b.id, ifName: 'eth0' });
    expect(ifbs().sort()).toEqual([ifbOf(a), others, 'bwpforeign'].sort());
  });
});

describe('in turns with the reference plugin', () => {
  function callReference(command: string, pod: MemberPod): string {
    const [, hostEnd] = pod.previous.interfaces;
    const interfaces = [hostEnd, { name: 'eth0', sandbox: pod.netns.path }];
    const stdin = {
      ...{ cniVersion: '1.0.0', name: 'net', type: 'bandwidth' },
      ...both,
      prevResult: { cniVersion: '1.0.0', interfaces },
    };
    const variables = {
      CNI_COMMAND: command,
      CNI_CONTAINERID: pod.id,
      CNI_NETNS: pod.netns.path,
      CNI_IFNAME: 'eth0',
      CNI_PATH: '/usr/lib/cni',
    };
    const words = Object.entries(variables).map(([key, value]) => `${key}=${value}`);
    const script = `printf %s "$0" | env ${words.join(' ')} ${reference}`;
    return lab.host.run('sh', '-c', script, JSON.stringify(stdin));
  }

  test('what it made is checked and deleted here', () => {
    callReference('ADD', a);
    expect(ifbs()).toEqual([ifbOf(a)]);
    check(a, both);
    expect(() => check(a, { ...both, egressRate: 3e6 })).toThrow('egress');
    del(a);
    expect(ifbs()).toEqual([]);
  });

  test('what was made here is deleted by it', () => {
    add(a, both);
    callReference('DEL', a);
    expect(ifbs()).toEqual([]);
  });
});
