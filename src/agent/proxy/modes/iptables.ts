import type { IPFamily } from '../../../net/ip.ts';
import { watchDrift } from '../../../proxy/modes/iptables/drift.ts';
import type { IptablesMode } from '../../../proxy/modes/iptables/mode.ts';
import { rememberPacketCounts } from '../../../proxy/modes/iptables/remembered-counts.ts';
import { openTriedVariant } from '../../../proxy/modes/iptables/tried-variant.ts';
import { acceptsOnLoopback } from '../../../proxy/node-addresses.ts';
import type { ProxySettings } from '../../config/proxy-settings.ts';
import type { AgentContext } from '../../context.ts';
import type { Drift, DriftListener, OpenedMode } from './mode.ts';

/** Chains and jumps that one note names; more are counted. */
const MOST_NAMED = 3;

/**
 * Services in kube-proxy's chains, in the variant that is configured or else that the node uses.
 * Throws IoError when its programs are not installed, or the kernel does not take such rules.
 */
export async function openKubeProxyChains(
  context: AgentContext,
  families: readonly IPFamily[],
): Promise<OpenedMode> {
  const { config, log } = context;
  const { iptablesVariant: configured } = config.own;
  const { mode, isTried } = await openTriedVariant({
    families,
    variant: configured === 'auto' ? undefined : configured,
    masqueradeBit: config.proxy.masqueradeBit,
    localhostNodePorts: servesLoopback(config.proxy),
  });
  log.info({ variant: mode.variant, configured, isTried }, 'iptables found');
  const rulesOfIPv4 = mode.rules.get(4);
  context.metrics.observeIptables({
    rules: () => Array.from(mode.rules, ([family, { counts }]) => [family, counts] as const),
    packets: rulesOfIPv4 ? rememberPacketCounts(rulesOfIPv4.programs, context) : () => undefined,
  });
  return {
    kind: `iptables-${mode.variant}`,
    openSession: mode.openSession,
    listeners: () => [],
    watchDrift: (listener) => watchRules(context, mode.rules, listener),
  };
}

/** As kube-proxy has it: only where the addresses that accept NodePorts include 127.0.0.1. */
export function servesLoopback({
  localhostNodePorts,
  nodePortAddresses,
}: Pick<ProxySettings, 'localhostNodePorts' | 'nodePortAddresses'>): boolean {
  return localhostNodePorts && acceptsOnLoopback(nodePortAddresses, 4);
}

/** Tells of changes in chains of ours, and of transactions in nftables. */
export function watchRules(
  { clock, log, nodeEvents }: AgentContext,
  rules: IptablesMode['rules'],
  { onDrift, onForeignChange }: DriftListener,
): { close(): void } {
  const drift = watchDrift(rules, {
    clock,
    events: nodeEvents,
    onDrift: (family, what) => onDrift(toDrift(family, what)),
    onError: (family, err) => log.warn({ family, err }, 'rules not looked at, trying again'),
  });
  const tables = nodeEvents.onTables((event) => {
    if (event !== 'overflow') onForeignChange(event.tables);
  });
  return {
    close() {
      tables.close();
      drift.close();
    },
  };
}

/** `changes`: `nat KUBE-SERVICES`, or `nat OUTPUT -j KUBE-SERVICES`. */
export function toDrift(family: IPFamily, changes: readonly string[]): Drift {
  const protocol = family === 4 ? 'ip' : 'ip6';
  const tables = new Set(changes.map((change) => `${protocol} ${change.split(' ', 1)[0] ?? ''}`));
  const named = changes.slice(0, MOST_NAMED).map((change) => `${protocol} ${change}`);
  const others = changes.length - named.length;
  const what = others === 0 ? named.join(', ') : `${named.join(', ')} and ${others} more`;
  return { family, tables: [...tables], what, by: 'unknown: iptables does not tell' };
}
