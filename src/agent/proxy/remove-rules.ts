import { openRtnl } from '../../kernel/rtnl.ts';
import type { IPFamily } from '../../net/ip.ts';
import { removeModeRules, removeServiceRules } from '../../proxy/modes/iptables/cleanup.ts';
import { detectPrograms } from '../../proxy/modes/iptables/detection.ts';
import { BESIDE_IPVS } from '../../proxy/modes/ipvs/rules-cleanup.ts';
import { proxyTable } from '../../proxy/modes/nftables/layout.ts';
import { keptTranslationsTable } from '../../proxy/modes/userspace/kept-translations.ts';
import { portalTable } from '../../proxy/modes/userspace/portals.ts';
import { removeVirtualAddresses } from '../../proxy/modes/userspace/virtual-addresses.ts';
import { assertNever, BusyError } from '../../util/errors.ts';
import { findKubeProxy, stopAdvice } from './kube-proxy-process.ts';
import { removeTable } from './own-tables.ts';
import { removeIpvs } from './remove-ipvs.ts';
import type { RulesKind } from './rules-record.ts';

/**
 * Removes the rules for Services of one kind and family; true when there were some. In iptables
 * they are known by kube-proxy's names: only for rules that are on record as ours. Throws BusyError
 * while a kube-proxy runs, whose rules they may be by now, DrainingError while connections run
 * through virtual servers, and other kinds of WeftError. `own` are the rules that have taken their
 * place, undefined when nothing has.
 */
export async function removeRules(
  kind: RulesKind,
  family: IPFamily,
  own?: RulesKind,
): Promise<boolean> {
  switch (kind) {
    case 'nftables':
      return removeTable(proxyTable(family));
    case 'iptables-nft':
    case 'iptables-legacy': {
      refuseBesideKubeProxy();
      const variant = kind === 'iptables-nft' ? 'nft' : 'legacy';
      const programs = (await detectPrograms([family], { variant })).get(family);
      if (programs === undefined) return false;
      const isShared = own === `ipvs-${variant}`;
      return isShared ? removeModeRules(programs, BESIDE_IPVS) : removeServiceRules(programs);
    }
    case 'ipvs-nft':
    case 'ipvs-legacy': {
      refuseBesideKubeProxy();
      return removeIpvs(kind === 'ipvs-nft' ? 'nft' : 'legacy', family, own);
    }
    case 'userspace':
      return removeAddresses(family);
    default:
      return assertNever(kind, 'rules');
  }
}

function refuseBesideKubeProxy(): void {
  const running = findKubeProxy();
  if (running === undefined) return;
  const reason = `kube-proxy runs, pid ${running.pid}, and its chains have the same names`;
  throw new BusyError(`remove chains of Services from iptables: ${reason}; ${stopAdvice(running)}`);
}

/** The sockets have ended with their agent; their addresses have not. */
async function removeAddresses(family: IPFamily): Promise<boolean> {
  const tables = [keptTranslationsTable(family), portalTable(family)].filter(removeTable);
  const rtnl = openRtnl();
  try {
    return (await removeVirtualAddresses(rtnl, family)) || tables.length > 0;
  } finally {
    rtnl.close();
  }
}
