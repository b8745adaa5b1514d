import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { readBootId } from '../../cni/machine.ts';
import { readNetworkConfigs } from '../../cni/network-configs.ts';
import { TUNNEL_NAME } from '../../fabric/names.ts';
import { openRtnl } from '../../kernel/rtnl.ts';
import type { Link } from '../../kernel/types.ts';
import { BRIDGE_NAME, NETWORK_NAME } from '../fabric/conflist.ts';
import {
  FLOW_SYSCTL_RECORD,
  FORWARDING_SYSCTLS,
  nodeSysctls,
  type RecordedSysctl,
  readSysctlRecord,
  SYSCTL_RECORD,
} from '../sysctl-record.ts';
import type { CleanupOptions, Leftover } from './leftover.ts';
import { isOtherProxyThere } from './proxy-leftovers.ts';

/** Links of these kinds pass packets on. */
const FORWARDERS: ReadonlySet<string | undefined> = new Set([
  'bridge',
  'vxlan',
  'geneve',
  'wireguard',
  'tun',
  'ipip',
  'gre',
  'macvlan',
  'ipvlan',
]);

/**
 * Sysctls that are still as an agent set them, to be what they were; the rest is somebody else's by now.
 * What others rely on stays, forced or not.
 */
export function leftoverSysctls({ runDir, confDirectory }: CleanupOptions): readonly Leftover[] {
  const others = whoElse(confDirectory);
  return [SYSCTL_RECORD, FLOW_SYSCTL_RECORD].flatMap((name) => leftoversOf(runDir, name, others));
}

function leftoversOf(runDir: string, name: string, others: Others): readonly Leftover[] {
  const recorded = readSysctlRecord(runDir, readBootId(), name);
  if (recorded.length === 0) return [];
  const changed = recorded.filter(({ path, before, ours }) => {
    return before !== ours && nodeSysctls.read(path) === ours;
  });
  const path = join(runDir, name);
  const removeRecord = () => {
    rmSync(path, { force: true });
    return true;
  };
  return [
    ...changed.map((sysctl) => leftoverOf(sysctl, others)),
    { text: path, isNeeded: false, remove: removeRecord },
  ];
}

interface Others {
  /** Who passes packets on besides us; undefined: nobody. */
  readonly forwarder: string | undefined;
  readonly proxy: string | undefined;
}

function leftoverOf(
  { path, before, ours }: RecordedSysctl,
  { forwarder, proxy }: Others,
): Leftover {
  const isForwarding = FORWARDING_SYSCTLS.includes(path) || path.endsWith('/accept_ra');
  const user = proxy ?? (isForwarding ? forwarder : undefined);
  const remove = () => {
    nodeSysctls.write(path, before);
    return true;
  };
  return {
    text: `value ${ours} of sysctl ${path}, which was ${before}`,
    isNeeded: false,
    ...(user === undefined ? {} : { usedBy: user }),
    remove,
  };
}

function whoElse(confDirectory: string): Others {
  const proxy = isOtherProxyThere() ? 'kube-proxy' : undefined;
  const network = readNetworkConfigs(confDirectory).find(({ name }) => name !== NETWORK_NAME);
  if (network !== undefined) return { forwarder: `network ${network.name}`, proxy };
  const rtnl = openRtnl();
  try {
    const link = rtnl.links().find(isOfOthers);
    return { forwarder: link === undefined ? undefined : `link ${link.name}`, proxy };
  } finally {
    rtnl.close();
  }
}

function isOfOthers({ name, kind, isUp }: Link): boolean {
  return isUp && FORWARDERS.has(kind) && name !== BRIDGE_NAME && name !== TUNNEL_NAME;
}
