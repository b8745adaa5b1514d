import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BALANCE_ANNOTATION } from '../../src/kube/resources.ts';
import type { Service } from '../../src/kube/types.ts';
import { removeServiceRules } from '../../src/proxy/iptables/cleanup.ts';
import { installedPrograms } from '../../src/proxy/iptables/detection.ts';
import { type Flow, type FlowGroup, wantText } from '../support/flows/flow.ts';
import { modelAnswer, worldOf } from '../support/flows/model.ts';
import { IPV4, IPV6, type Net } from '../support/flows/net.ts';
import { packetAnswer, tryFlows } from '../support/flows/probing.ts';
import { drawing, randomGroup } from '../support/flows/random.ts';
import {
  enter,
  kernelRules,
  openSession,
  programWorld,
  VARIANTS,
} from '../support/iptables-lab.ts';
import { createProxyLab, type ProxyLab } from '../support/proxy-lab.ts';

/** Each start finds the rules of the one before, as after a pause of the agent. */
const SEEDS = (process.env['FLOW_SEEDS'] ?? '2,5,8').split(',').map(Number);

const SETTINGS = ['base', 'byBridge', 'noDetector', 'listedNodePorts', 'masqueradeAll'] as const;

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

/** Flows whose packets went otherwise than the model says: `flow: model, packets`. */
async function disagreements(
  variant: (typeof VARIANTS)[number],
  net: Net,
  seed: number,
): Promise<readonly string[]> {
  const settings = SETTINGS[seed % SETTINGS.length] ?? 'base';
  const group = atRandom(randomGroup(net, settings, drawing(seed)));
  const world = worldOf([group], settings, net);
  await programWorld(
    openSession(await kernelRules(lab.node, variant, net.family)),
    world,
    net.family,
  );
  // Addresses of the Service networks that no rule names are left to the routing.
  const isServed = ({ to, protocol = 'tcp', port }: Flow) =>
    world.frontends.has(`${to} ${protocol} ${port}`) || !to.startsWith(net.vip(1).slice(0, -1));
  const flows = group.flows
    .filter(isServed)
    .map((flow): Flow => ({ ...flow, want: modelAnswer(world, flow, net) }));
  // Nobody answers what passes by, one way or another; silence is what takes least time to tell.
  const tried = flows.map((flow) => ({
    net,
    flow: flow.want === 'pass' ? ({ ...flow, want: 'drop' } as const) : flow,
  }));
  const results = await tryFlows(lab, tried);
  return flows.flatMap((flow, i) => {
    const answer = packetAnswer(results[i] ?? {}, { net, flow });
    const seen = typeof answer === 'string' ? answer : wantText(answer);
    const isPassedBy = flow.want === 'pass' && typeof answer === 'string';
    const isAsWanted = isPassedBy || seen === wantText(flow.want);
    return isAsWanted ? [] : [`${flow.name}: model ${wantText(flow.want)}, packets ${seen}`];
  });
}

const ROWS = SEEDS.flatMap((seed) =>
  [IPV4, IPV6].map((net) => ({ seed, net, family: net.family })),
);

describe.each(VARIANTS)('iptables-%s', (variant) => {
  afterAll(async () => {
    const programs = await installedPrograms([4, 6], enter(lab.node));
    await Promise.all(programs.map(removeServiceRules));
  });

  test.each(ROWS)('any Services, IPv$family, seed $seed', async ({ net, seed }) => {
    lab.forgetFlows();
    expect(await disagreements(variant, net, seed)).toEqual([]);
  });
});
