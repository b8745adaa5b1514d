import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BALANCE_ANNOTATION } from '../../src/kube/resources.ts';
import type { Service } from '../../src/kube/types.ts';
import { removeServiceRules } from '../../src/proxy/modes/iptables/cleanup.ts';
import { disagreements, randomRows } from '../support/flows/disagreements.ts';
import type { Flow, FlowGroup } from '../support/flows/flow.ts';
import { worldOf } from '../support/flows/model.ts';
import { drawing, randomGroup } from '../support/flows/random.ts';
import {
  enter,
  installedPrograms,
  kernelRules,
  openSession,
  programWorld,
  VARIANTS,
} from '../support/iptables-lab.ts';
import { createProxyLab, type ProxyLab } from '../support/proxy-lab.ts';

let lab: ProxyLab;

beforeAll(async () => {
  lab = await createProxyLab();
});

afterAll(() => lab.remove());

/** The same Services, all of which leave the endpoint to chance: iptables cannot draw from a hash. */
function atRandom(group: FlowGroup): FlowGroup {
  const services = group.services.map((each): Service => {
    const { [BALANCE_ANNOTATION]: _, ...annotations } = each.metadata.annotations ?? {};
    return { ...each, metadata: { ...each.metadata, annotations } };
  });
  return { ...group, services };
}

describe.each(VARIANTS)('iptables-%s', (variant) => {
  afterAll(async () => {
    const programs = await installedPrograms([4, 6], enter(lab.node));
    await Promise.all(programs.map(removeServiceRules));
  });

  // Each finds the rules of the one before, as after a pause of the agent.
  test.each(randomRows('2,5,8'))(
    'any Services, IPv$family, seed $seed',
    async ({ net, seed, settings }) => {
      lab.forgetFlows();
      const group = atRandom(randomGroup(net, settings, drawing(seed)));
      const world = worldOf([group], settings, net);
      const session = openSession(await kernelRules(lab.node, variant, net.family));
      await programWorld(session, world, net.family);
      // Addresses of the Service networks that no rule names are left to the routing.
      const isServed = ({ to, protocol = 'tcp', port }: Flow) =>
        world.frontends.has(`${to} ${protocol} ${port}`) || !to.startsWith(net.vip(1).slice(0, -1));
      const flows = group.flows.filter(isServed);
      expect(await disagreements(lab, { flows, world, net })).toEqual([]);
    },
  );
});
