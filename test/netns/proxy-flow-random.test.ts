import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Flow, wantText } from '../support/flows/flow.ts';
import { modelAnswer, worldOf } from '../support/flows/model.ts';
import { IPV4, IPV6, type Net } from '../support/flows/net.ts';
import { packetAnswer, tryFlows } from '../support/flows/probing.ts';
import { drawing, randomGroup } from '../support/flows/random.ts';
import { localAddresses, NODE, SERVICE_CIDRS, settingsOf } from '../support/flows/settings.ts';
import { createProxyLab, type ProxyLab } from '../support/proxy-lab.ts';

/** Each start finds the table of the one before, as after a pause of the agent. */
const SEEDS = (process.env['FLOW_SEEDS'] ?? '1,7,10,18,24').split(',').map(Number);

const SETTINGS = ['base', 'byBridge', 'noDetector', 'listedNodePorts', 'masqueradeAll'] as const;

let lab: ProxyLab;

beforeAll(async () => {
  lab = await createProxyLab();
});

afterAll(() => lab.remove());

/** Flows whose packets went otherwise than the model says: `flow: model, packets`. */
async function disagreements(net: Net, seed: number): Promise<readonly string[]> {
  const settings = SETTINGS[seed % SETTINGS.length] ?? 'base';
  const group = randomGroup(net, settings, drawing(seed));
  const world = worldOf([group], settings, net);
  const { hasNodeObjects, ...options } = settingsOf(settings);
  const proxy = lab.proxy({
    ...options,
    families: [net.family],
    hasNodeObjects: () => hasNodeObjects,
    localAddresses: () => localAddresses(net),
  });
  proxy.onNodeAdd(NODE);
  proxy.onServiceCIDRs(SERVICE_CIDRS);
  for (const object of group.services) proxy.onServiceAdd(object);
  for (const object of group.slices) proxy.onEndpointSliceAdd(object);
  proxy.setSynced();
  await proxy.sync();
  await proxy.stop();
  const flows = group.flows.map((flow): Flow => ({ ...flow, want: modelAnswer(world, flow, net) }));
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
    return isPassedBy || seen === wantText(flow.want)
      ? []
      : [`${flow.name}: model ${wantText(flow.want)}, packets ${seen}`];
  });
}

test.each(SEEDS.flatMap((seed) => [IPV4, IPV6].map((net) => ({ seed, net, family: net.family }))))(
  'any Services, IPv$family, seed $seed',
  async ({ net, seed }) => {
    lab.forgetFlows();
    expect(await disagreements(net, seed)).toEqual([]);
  },
);
