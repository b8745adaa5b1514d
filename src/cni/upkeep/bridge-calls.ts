/**
 * Whether br_netfilter shows bridged packets to the rules of IP. Where pods are sent through the node it must
 * not: it translates a packet to a Service on the pod's port already, hands it on from port to port if
 * the endpoint is on the same bridge (br_nf_pre_routing_finish), and isolated ports drop it there.
 */
import type { NodeRtnl } from '../../kernel/types.ts';
import type { IPFamily } from '../../net/ip.ts';
import { type UpkeepNode, withRtnl } from '../node.ts';

/** For all bridges; 1 by default, as soon as br_netfilter is loaded. */
export const BRIDGE_CALLS: Readonly<Record<IPFamily, string>> = {
  4: 'net/bridge/bridge-nf-call-iptables',
  6: 'net/bridge/bridge-nf-call-ip6tables',
};
const FAMILIES = [4, 6] as const;

/** Settings that were on before they were switched off here; to outlive this process, not the boot. */
export interface StoppedCalls {
  read(): readonly string[];
  /** Called before the kernel is told. */
  add(settings: readonly string[]): void;
  remove(settings: readonly string[]): void;
}

/**
 * Switches it off but for bridges that are not `own` (ifindexes), which keep it by a setting of theirs. Only
 * for when no two pods reach each other from port to port: answers to connections through Services would pass
 * untranslated. Gives the settings that were changed.
 */
export function stopBridgeCalls(
  node: UpkeepNode,
  own: ReadonlySet<number>,
  stopped: StoppedCalls,
): readonly string[] {
  const { kernel } = node;
  const on = FAMILIES.filter(
    (family) => kernel.sysctls.read(undefined, BRIDGE_CALLS[family]) === '1',
  );
  if (on.length === 0) return [];
  stopped.add(on.map((family) => BRIDGE_CALLS[family]));
  withRtnl(kernel, undefined, (host) => keepForOthers(host, own, on));
  for (const family of on) kernel.sysctls.write(undefined, BRIDGE_CALLS[family], '0');
  return on.map((family) => BRIDGE_CALLS[family]);
}

/** For all bridges again, what was switched off. */
export function startBridgeCalls(
  { kernel }: Pick<UpkeepNode, 'kernel'>,
  stopped: StoppedCalls,
): void {
  const settings = stopped.read();
  for (const path of settings) kernel.sysctls.write(undefined, path, '1');
  stopped.remove(settings);
}

/** Bridges that are not `own` keep it each for itself. */
export function keepForOthers(
  host: NodeRtnl,
  own: ReadonlySet<number>,
  families: readonly IPFamily[],
): void {
  const change = {
    ...(families.includes(4) ? { callsIPTables: true } : {}),
    ...(families.includes(6) ? { callsIP6Tables: true } : {}),
  };
  for (const { kind, index } of host.links()) {
    if (kind === 'bridge' && !own.has(index)) host.changeBridge(index, change);
  }
}
