/**
 * SIGKILL at each request to the kernel of an ADD where policies are enforced: whatever of the pod is there sends
 * as nobody else, and one DEL leaves nothing.
 */
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { hostVethName, vethMacs } from '../../src/cni/attachment.ts';
import { BridgeLab } from '../support/bridge-lab.ts';
import { sendFrames, udpFrame } from '../support/forged-frames.ts';
import { inLanes } from '../support/lanes.ts';
import type { TestNetns } from '../support/netns.ts';

const WORKLOAD = new URL('../support/workloads/policy-add.ts', import.meta.url).pathname;
/** How requests are sent; every other one in a lab of its own. */
const CALL = 'sendto';
const LANES = [1, 2];
const MOST = 80;
const ADDRESSES = [
  { own: '10.22.0.2', other: '10.22.0.99', to: '10.22.0.1' },
  { own: 'fd00:22::2', other: 'fd00:22::99', to: 'fd00:22::1' },
];

let labs: BridgeLab[];
beforeAll(() => {
  labs = LANES.map(() => new BridgeLab());
});
afterAll(() => {
  for (const lab of labs ?? []) lab.remove();
});

const port = hostVethName({ network: 'net', containerId: 'd', ifName: 'eth0' });
const { pod: mac } = vethMacs({ network: 'net', containerId: 'd', ifName: 'eth0' });

/** Frames that enter the bridge from the pod, of its own addresses or of others. */
function entering(lab: BridgeLab, pod: TestNetns, as: 'own' | 'other'): number {
  const isUp = pod
    .ip<{ ifname: string; operstate: string }[]>('link')
    .some(({ ifname, operstate }) => ifname === 'eth0' && operstate === 'UP');
  const to = lab.host.ip<{ address?: string; ifname: string }[]>('link');
  const bridge = to.find(({ ifname }) => ifname === 'br0')?.address;
  if (!isUp || bridge === undefined) return 0;
  const chain = 'type filter hook prerouting priority -200';
  lab.host.run(
    'nft',
    `table bridge seen { chain c { ${chain}; iifname ${port} udp dport 80 counter\n } \n}`,
  );
  const frames = ADDRESSES.map((each) =>
    udpFrame({ from: mac, to: bridge }, { source: each[as], destination: each.to }, 80),
  );
  sendFrames(pod, frames);
  const counted = lab.host.run('nft', 'list', 'table', 'bridge', 'seen');
  lab.host.run('nft', 'delete', 'table', 'bridge', 'seen');
  return Number(/packets (\d+)/.exec(counted)?.[1]);
}

/** Kills at the first request, at the next but one and so on; gives how often the pod could send by then. */
async function killAtEach(first: number, lab: BridgeLab): Promise<{ kills: number; up: number }> {
  const addresses = ADDRESSES.map(({ own, to }) => {
    return { address: own.includes(':') ? `${own}/64` : `${own}/24`, gateway: to };
  });
  const config = lab.config({ hairpinMode: true, ipam: { type: 'static', addresses } });
  const pod = lab.pod();
  let up = 0;
  let kills = 0;
  for (let n = first; n < MOST; n += LANES.length) {
    const inject = `inject=${CALL}:signal=KILL:when=${n}`;
    const words = ['-f', '-qq', '-o', '/dev/null', '-e', `trace=${CALL}`, '-e', inject];
    const what = [WORKLOAD, join(lab.directory, 'run'), 'd', pod.path, JSON.stringify(config)];
    const child = lab.host.start('strace', [...words, process.execPath, ...what]);
    const code = await new Promise((resolve) => child.once('close', resolve));
    expect([n, entering(lab, pod, 'other')]).toEqual([n, 0]);
    if (entering(lab, pod, 'own') > 0) up++;
    lab.del(config, { id: 'd', pod });
    const { stdout } = lab.host.attempt('nft', ['list', 'table', 'bridge', 'weft-spoof']);
    const links = lab.host.run('ip', '-br', 'link');
    expect([n, `${stdout}${links}`.includes(port)]).toEqual([n, false]);
    if (code === 0) return { kills, up };
    kills++;
  }
  throw new Error(`more than ${MOST}`);
}

test('killed at each request, nothing of the pod is anybody else', {
  timeout: 120_000,
}, async () => {
  const found = await inLanes(LANES, (first) => {
    const lab = labs[first - 1];
    if (lab === undefined) throw new Error('no lab');
    return killAtEach(first, lab);
  });
  const sum = (of: 'kills' | 'up') => found.reduce((total, each) => total + each[of], 0);
  expect(sum('kills')).toBeGreaterThan(10);
  // Besides the last ones, which nobody has killed.
  expect(sum('up')).toBeGreaterThan(LANES.length);
});
