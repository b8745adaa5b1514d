import type { IptablesVariant } from '../../iptables/command.ts';
import { openIpSets } from '../../kernel/ipset.ts';
import { openIpvs } from '../../kernel/ipvs.ts';
import { openRtnl } from '../../kernel/rtnl.ts';
import type { IPFamily } from '../../net/ip.ts';
import { removeModeRules } from '../../proxy/modes/iptables/cleanup.ts';
import { detectPrograms } from '../../proxy/modes/iptables/detection.ts';
import { removeVirtualServers } from '../../proxy/modes/ipvs/cleanup.ts';
import { BESIDE_IPTABLES, IPVS_CHAINS } from '../../proxy/modes/ipvs/rules-cleanup.ts';
import type { RulesKind } from './rules-record.ts';

/**
 * Removes what an IPVS mode has in the kernel, rules first, as they use the sets. With `own`, the
 * rules of the mode that has taken its place, chains that both use stay, and so do virtual servers
 * as long as they have connections: throws DrainingError then. True when there was something.
 */
export async function removeIpvs(
  variant: IptablesVariant,
  family: IPFamily,
  own: RulesKind | undefined,
): Promise<boolean> {
  const programs = (await detectPrograms([family], { variant })).get(family);
  const chains = own === `iptables-${variant}` ? BESIDE_IPTABLES : IPVS_CHAINS;
  const hadRules = programs !== undefined && (await removeModeRules(programs, chains));
  // Of the mode that runs, whose rules are those of another variant.
  if (own?.startsWith('ipvs-')) return hadRules;
  const ipvs = openIpvs();
  const ipSets = openIpSets();
  const rtnl = openRtnl();
  try {
    // Sockets of a userspace proxy get nothing before the virtual servers are gone.
    const drains = own !== undefined && own !== 'userspace';
    const hadServers = await removeVirtualServers({ ipvs, ipSets, rtnl }, { family, drains });
    return hadServers || hadRules;
  } finally {
    for (const socket of [ipvs, ipSets, rtnl]) socket.close();
  }
}
