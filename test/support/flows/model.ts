/** The flow table's objects as the verdict model sees them, by the proxy's own parsing. */
import { parseIP } from '../../../src/net/ip.ts';
import { FrontendClaims } from '../../../src/proxy/claims.ts';
import { parseSlice, type SliceRecord } from '../../../src/proxy/endpoints.ts';
import type { ModeName } from '../../../src/proxy/modes/names.ts';
import {
  acceptsOnAllAddresses,
  localDetector,
  nodePortIPs,
  parseNode,
} from '../../../src/proxy/node-addresses.ts';
import { parseService } from '../../../src/proxy/service.ts';
import { type ResolvedPort, resolvePort } from '../../../src/proxy/state.ts';
import { decide } from '../../../src/proxy/verdict/decide.ts';
import { MODE_TRAITS } from '../../../src/proxy/verdict/mode-traits.ts';
import { buildWorld, type World } from '../../../src/proxy/verdict/world.ts';
import {
  type Flow,
  type FlowGroup,
  interfaceOf,
  type SettingsName,
  sourceOf,
  type Want,
} from './flow.ts';
import type { Net } from './net.ts';
import { localAddresses, NODE, SERVICE_CIDRS, settingsOf } from './settings.ts';

/** The world of all groups that share these settings. */
export function worldOf(
  groups: readonly FlowGroup[],
  settings: SettingsName,
  net: Net,
  mode: ModeName = 'nftables',
): World {
  const { localDetection, masqueradesAll, nodePortAddresses, hasNodeObjects } =
    settingsOf(settings);
  const facts = parseNode(NODE);
  const addresses = localAddresses(net);
  const onAll = acceptsOnAllAddresses(nodePortAddresses, net.family, hasNodeObjects);
  const mine = groups.filter((group) => group.settings === settings);
  return buildWorld(resolveGroups(mine, net), {
    localDetector: localDetector(localDetection, net.family, facts),
    masqueradesAll,
    nodePortIPs: onAll
      ? undefined
      : nodePortIPs(nodePortAddresses, net.family, facts, () => addresses),
    localAddresses: addresses,
    serviceCIDRs: SERVICE_CIDRS,
    traits: MODE_TRAITS[mode],
  });
}

/** What the model says of a flow, in the table's words. */
export function modelAnswer(world: World, flow: Flow, net: Net): Want {
  const inInterface = interfaceOf(flow.from);
  const { verdict } = decide(
    {
      ...(inInterface === undefined ? {} : { inInterface }),
      source: parseIP(sourceOf(flow.from, net)),
      destination: parseIP(flow.to),
      protocol: flow.protocol ?? 'tcp',
      port: flow.port,
    },
    world,
  );
  if (verdict.kind !== 'dnat') return verdict.kind;
  const names = new Map([
    [net.podA, 'a'],
    [net.podB, 'b'],
    [net.remote, 'remote'],
  ] as const);
  const possible = verdict.candidates.filter(({ probability }) => probability > 0);
  return possible.map(({ ip, isMasqueraded }) => {
    const server = names.get(ip);
    if (server === undefined) throw new Error(`no server has ${ip}`);
    return { server, source: isMasqueraded ? 'node' : 'own' };
  });
}

/** Every ServicePort of the groups, with what it owns. */
export function resolveGroups(groups: readonly FlowGroup[], net: Net): readonly ResolvedPort[] {
  const entries = groups
    .flatMap(({ services }) => services)
    .flatMap((service) => parseService(service).get(net.family) ?? []);
  const claims = new FrontendClaims();
  for (const entry of entries) claims.update([], entry);
  const slices = Map.groupBy(
    groups
      .flatMap((group) => group.slices)
      .flatMap((slice) => parseSlice(slice, 'node-a') ?? [])
      .filter(({ family }) => family === net.family),
    ({ service }) => service,
  );
  const view = { nodeName: 'node-a', zone: undefined, nodeIP: parseIP(net.node) };
  return entries.flatMap(({ ports }) =>
    ports.map((port) => {
      const records: SliceRecord[] = (slices.get(port.service) ?? []).map(({ record }) => record);
      return resolvePort(port, records, claims, view);
    }),
  );
}
