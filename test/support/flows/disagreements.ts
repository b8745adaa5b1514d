/** Random Services: which there are, and where packets went otherwise than the model says. */
import type { World } from '../../../src/proxy/verdict/world.ts';
import type { ProxyLab } from '../proxy-lab.ts';
import { type Flow, type SettingsName, wantText } from './flow.ts';
import { modelAnswer } from './model.ts';
import { IPV4, IPV6, type Net } from './net.ts';
import { packetAnswer, tryFlows } from './probing.ts';

const SETTINGS: readonly SettingsName[] = [
  'base',
  'byBridge',
  'noDetector',
  'listedNodePorts',
  'masqueradeAll',
];

/** One row for each seed and address family; FLOW_SEEDS replaces the seeds. */
export function randomRows(seeds: string) {
  const wanted = (process.env['FLOW_SEEDS'] ?? seeds).split(',').map(Number);
  return wanted.flatMap((seed) =>
    [IPV4, IPV6].map((net) => ({
      ...{ seed, net, family: net.family },
      settings: SETTINGS[seed % SETTINGS.length] ?? 'base',
    })),
  );
}

/** Flows whose packets went otherwise than the model says: `flow: model, packets`. */
export async function disagreements(
  lab: ProxyLab,
  {
    flows,
    world,
    net,
  }: { readonly flows: readonly Flow[]; readonly world: World; readonly net: Net },
): Promise<readonly string[]> {
  const modelled = flows.map((flow): Flow => ({ ...flow, want: modelAnswer(world, flow, net) }));
  // Nobody answers what passes by, one way or another; silence is what takes least time to tell.
  const tried = modelled.map((flow) => ({
    net,
    flow: flow.want === 'pass' ? ({ ...flow, want: 'drop' } as const) : flow,
  }));
  const results = await tryFlows(lab, tried);
  return modelled.flatMap((flow, i) => {
    const answer = packetAnswer(results[i] ?? {}, { net, flow });
    const seen = typeof answer === 'string' ? answer : wantText(answer);
    const isPassedBy = flow.want === 'pass' && typeof answer === 'string';
    const isAsWanted = isPassedBy || seen === wantText(flow.want);
    return isAsWanted ? [] : [`${flow.name}: model ${wantText(flow.want)}, packets ${seen}`];
  });
}
