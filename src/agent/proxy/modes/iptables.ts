import type { IPFamily } from '../../../net/ip.ts';
import { watchTables } from '../../../nftables/monitor.ts';
import { watchDrift } from '../../../proxy/iptables/drift.ts';
import { type IptablesMode, openIptablesMode } from '../../../proxy/iptables/mode.ts';
import type { NodePortAddresses } from '../../../proxy/node-addresses.ts';
import type { ProxySettings } from '../../config/proxy-settings.ts';
import type { AgentContext } from '../../context.ts';
import type { Drift, DriftListener, OpenedMode } from './mode.ts';

/** Chains and jumps that one note names; more are counted. */
const MOST_NAMED = 3;

/**
 * Services in kube-proxy's chains, in the variant that is configured or else that the node uses.
 * Throws IoError when its programs are not installed.
 */
export async function openKubeProxyChains(
  context: AgentContext,
  families: readonly IPFamily[],
): Promise<OpenedMode> {
  const { config, log } = context;
  const { iptablesVariant } = config.own;
  const mode = await openIptablesMode({
    families,
    variant: iptablesVariant === 'auto' ? undefined : iptablesVariant,
    masqueradeBit: config.proxy.masqueradeBit,
    localhostNodePorts: servesLoopback(config.proxy),
  });
  log.info({ variant: mode.variant, configured: iptablesVariant }, 'iptables found');
  return {
    kind: `iptables-${mode.variant}`,
    openSession: mode.openSession,
    listeners: [],
    watchDrift: (listener) => watchRules(context, mode, listener),
  };
}

/** As kube-proxy has it: only where the addresses that accept NodePorts include 127.0.0.1. */
export function servesLoopback({
  localhostNodePorts,
  nodePortAddresses,
}: Pick<ProxySettings, 'localhostNodePorts' | 'nodePortAddresses'>): boolean {
  return localhostNodePorts && includesLoopback(nodePortAddresses);
}

function includesLoopback(addresses: NodePortAddresses): boolean {
  if (addresses.kind === 'primary') return false;
  const { cidrs } = addresses;
  return (
    cidrs.length === 0 || cidrs.some((cidr) => cidr.startsWith('127.') || cidr === '0.0.0.0/0')
  );
}

function watchRules(
  { clock, log }: AgentContext,
  mode: IptablesMode,
  { onDrift, onForeignChange }: DriftListener,
): { close(): void } {
  const drift = watchDrift(mode.rules, {
    clock,
    onDrift: (family, what) => onDrift(toDrift(family, what)),
    onError: (family, err) => log.warn({ family, err }, 'rules not looked at, trying again'),
  });
  const tables = watchTables(undefined, (event) => {
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
