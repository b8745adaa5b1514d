import { afterAll, beforeAll, expect, test } from 'vitest';
import { disagreements, randomRows } from '../support/flows/disagreements.ts';
import type { FlowGroup, SettingsName } from '../support/flows/flow.ts';
import { worldOf } from '../support/flows/model.ts';
import type { Net } from '../support/flows/net.ts';
import { drawing, randomGroup } from '../support/flows/random.ts';
import { localAddresses, NODE, SERVICE_CIDRS, settingsOf } from '../support/flows/settings.ts';
import { createProxyLab, type ProxyLab } from '../support/proxy-lab.ts';

let lab: ProxyLab;

beforeAll(async () => {
  lab = await createProxyLab();
});

afterAll(() => lab.remove());

/** Finds the table of the one before, as after a pause of the agent. */
async function program(net: Net, settings: SettingsName, group: FlowGroup): Promise<void> {
  const { hasNodeObjects, ...options } = settingsOf(settings);
  const proxy = lab.proxy({
    ...options,
    families: [net.family],
    hasNodeObjects: () => hasNodeObjects,
    localAddresses: () => localAddresses(net),
  });
  proxy.apply({ kind: 'node', now: NODE });
  proxy.apply({ kind: 'serviceCIDRs', cidrs: SERVICE_CIDRS });
  for (const object of group.services) proxy.apply({ kind: 'service', now: object });
  for (const object of group.slices) proxy.apply({ kind: 'slice', now: object });
  proxy.setSynced();
  await proxy.sync();
  await proxy.stop();
}

test.each(randomRows('1,7,10,18,24'))(
  'any Services, IPv$family, seed $seed',
  async ({ net, seed, settings }) => {
    lab.forgetFlows();
    const group = randomGroup(net, settings, drawing(seed));
    await program(net, settings, group);
    const world = worldOf([group], settings, net);
    expect(await disagreements(lab, { flows: group.flows, world, net })).toEqual([]);
  },
);
