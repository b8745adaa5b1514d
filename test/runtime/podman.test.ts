import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type RunningAgent, startAgent } from '../support/runtime/agent.ts';
import { nothing } from '../support/runtime/footprint.ts';
import { network, referencePlugins, weftAs } from '../support/runtime/networks.ts';
import { Podman } from '../support/runtime/podman.ts';
import { nodeAddress } from '../support/runtime/runtime-node.ts';
import { ask, attemptToAsk } from '../support/runtime/traffic.ts';

let podman: Podman;
let agent: RunningAgent | undefined;

beforeAll(async () => {
  podman = await Podman.start();
  podman.node.installPlugins({ ...referencePlugins, ...weftAs('weft') });
});
afterAll(() => podman?.remove());
afterEach(async () => {
  podman.call('rm', '--force', '--time', '1', '--all');
  await agent?.end();
  agent = undefined;
});

describe.each([{ by: 'agent' }, { by: 'standalone' }])('through the $by', ({ by }) => {
  const third = by === 'agent' ? 1 : 2;
  const subnets = [`10.30.${third}.0/24`];

  test('a published port is reached, inspect shows the address, rm leaves nothing', async () => {
    const { node } = podman;
    node.writeNetwork(
      network({ name: `net-${by}`, cniVersion: '0.4.0', subnets, usesPortmap: true }),
    );
    if (by === 'agent') agent = await startAgent(node);

    const { id, ip } = podman.runDetached(`net-${by}`, { port: 80, hostPort: 8080 });
    expect(ip).toBe(`10.30.${third}.2`);
    expect(node.footprint()).toMatchObject({ links: [expect.any(String)], addresses: [ip] });
    expect(await ask(node.client, nodeAddress, 8080)).toContain(`eth0 ${ip}`);
    expect(await ask(node.netns, ip, 80)).toContain(`eth0 ${ip}`);

    podman.call('rm', '--force', '--time', '1', id);
    expect(attemptToAsk(node.client, nodeAddress, 8080)).toBeUndefined();
    expect(node.footprint()).toEqual(nothing);
    // podman asks for the version first, to validate the conflist (libcni ValidateNetworkList).
    const verbs = ['VERSION', 'ADD', 'VERSION', 'DEL'];
    expect(agent?.served()).toEqual(by === 'agent' ? verbs : undefined);
  });

  test('a restarted container is reached again', async () => {
    const { node } = podman;
    node.writeNetwork(
      network({ name: `net-${by}`, cniVersion: '0.4.0', subnets, usesPortmap: true }),
    );
    if (by === 'agent') agent = await startAgent(node);
    const { id } = podman.runDetached(`net-${by}`, { port: 80, hostPort: 8081 });
    await ask(node.client, nodeAddress, 8081);
    podman.call('restart', '--time', '1', id);
    const [address] = node.footprint().addresses;
    expect(await ask(node.client, nodeAddress, 8081)).toContain(`eth0 ${address}`);
    expect(node.footprint()).toMatchObject({ links: [expect.any(String)], addresses: [address] });
  });
});
