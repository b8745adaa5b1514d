import { afterAll, beforeAll, expect, test } from 'vitest';
import { startAgent } from '../support/runtime/agent.ts';
import { Containerd, workloadImage } from '../support/runtime/containerd.ts';
import { nothing } from '../support/runtime/footprint.ts';
import { network, referencePlugins, weftAs } from '../support/runtime/networks.ts';

let containerd: Containerd;

beforeAll(async () => {
  containerd = await Containerd.start();
  containerd.node.installPlugins({ ...referencePlugins, ...weftAs('weft') });
});
afterAll(() => containerd?.remove());

// ctr sets the network up before the program starts and calls DEL with an empty CNI_NETNS.
test.each([{ by: 'agent' }, { by: 'standalone' }])(
  'ctr run --cni through the $by: eth0 has the address, and nothing stays',
  async ({ by }) => {
    const { node } = containerd;
    const agent = by === 'agent' ? await startAgent(node) : undefined;
    const second = by === 'agent' ? 1 : 2;
    node.writeNetwork(
      network({ name: by, subnets: [`10.20.${second}.0/24`, `fd00:10:20:${second}::/64`] }),
    );
    const output = containerd.ctr('run', '--rm', '--cni', workloadImage, `by-${by}`, '/program');
    expect(output.trim().split('\n')).toEqual(
      expect.arrayContaining([
        `eth0 10.20.${second}.2`,
        `eth0 fd00:10:20:${second}::2`,
        'lo 127.0.0.1',
        'ready',
      ]),
    );
    expect(agent?.served()).toEqual(by === 'agent' ? ['ADD', 'DEL'] : undefined);
    await agent?.end();
    expect(node.footprint()).toEqual(nothing);
  },
);

test('a container of the reference plugins leaves its masquerade chain, one of weft does not', () => {
  const { node } = containerd;
  const leftBy = (type: 'weft' | 'bridge') => {
    node.writeNetwork(network({ name: `left-${type}`, type, subnets: ['10.21.0.0/24'] }));
    const before = node.footprint().netfilter;
    containerd.ctr('run', '--rm', '--cni', workloadImage, `left-${type}`, '/program');
    return node.footprint().netfilter.filter((trace) => !before.includes(trace));
  };
  expect(leftBy('weft')).toEqual([]);
  expect(leftBy('bridge')).toEqual(['10.21.0.2', expect.stringMatching(/^CNI-/)]);
});
