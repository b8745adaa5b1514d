/** Whether a kernel takes the rules of this mode, found out by trying and without a trace. */

import type { CommandPrefix, IptablesVariant } from '../../../iptables/command.ts';
import type { GuestRule, TableName } from '../../../iptables/model.ts';
import type { IptablesPrograms } from '../../../iptables/programs.ts';
import { restoreText } from '../../../iptables/restore-text.ts';
import type { IPFamily } from '../../../net/ip.ts';
import { IoError, toError } from '../../../util/errors.ts';
import { detectPrograms } from './detection.ts';

/** One thing the rules are made of, and the kernel option that has it. */
interface Feature {
  readonly option: string;
  readonly rule: GuestRule;
}

/** Runs a program in a network namespace of its own, which is gone when it ends. */
const THROW_AWAY: CommandPrefix = ['unshare', '--net'];

/** What the programs print for EPERM and EACCES: there is no code of theirs that says so. */
const NO_RIGHTS = /Permission denied|Operation not permitted/;

/**
 * Applies every kind of rule that Services need in a throw-away network namespace. Where none can be
 * made (`unshare` or CAP_SYS_ADMIN is missing) the tables of this one are read and nothing more: it
 * gives false then. Throws IoError that names what is missing.
 */
export async function probeRules(
  programs: ReadonlyMap<IPFamily, IptablesPrograms>,
  throwAway: CommandPrefix = THROW_AWAY,
): Promise<boolean> {
  const trials = await throwAwayPrograms(programs, throwAway);
  for (const [family, each] of trials ?? programs) {
    try {
      if (trials === undefined) await each.save();
      else await tryRules(family, each);
    } catch (cause) {
      throw new IoError(toError(cause).message, { cause });
    }
  }
  return trials !== undefined;
}

async function throwAwayPrograms(
  programs: ReadonlyMap<IPFamily, IptablesPrograms>,
  prefix: CommandPrefix,
): Promise<ReadonlyMap<IPFamily, IptablesPrograms> | undefined> {
  const [first] = programs.values();
  try {
    return await detectPrograms([...programs.keys()], { variant: first?.variant, prefix });
  } catch {
    return undefined;
  }
}

/** All of them at once, and one by one only to name the one that is missing. */
async function tryRules(family: IPFamily, programs: IptablesPrograms): Promise<void> {
  const features = featuresOf(family, programs.variant);
  try {
    await programs.restore(textOf(features));
  } catch (cause) {
    const { message } = toError(cause);
    if (NO_RIGHTS.test(message)) throw new IoError(`${message}; it needs CAP_NET_ADMIN`, { cause });
    for (const feature of features) {
      if (await passes(programs, feature)) continue;
      const cure = 'load its module or use a kernel with it';
      throw new IoError(`the kernel has no ${feature.option}; ${cure}`, { cause });
    }
    throw cause;
  }
}

async function passes(programs: IptablesPrograms, feature: Feature): Promise<boolean> {
  try {
    await programs.restore(textOf([feature]));
    return true;
  } catch {
    return false;
  }
}

function textOf(features: readonly Feature[]): string {
  return restoreText({ guests: features.map(({ rule }) => rule) });
}

/** In the order in which one needs the other. */
function featuresOf(family: IPFamily, variant: IptablesVariant): readonly Feature[] {
  const on = (table: TableName, chain: string) => (option: string, rule: string) => ({
    option,
    rule: { table, chain, rule, position: 'last' as const },
  });
  const [filter, nat, mangle] = [
    on('filter', 'FORWARD'),
    on('nat', 'OUTPUT'),
    on('mangle', 'FORWARD'),
  ];
  const leaving = on('nat', 'POSTROUTING');
  const ip = family === 4 ? 'IP' : 'IP6';
  const inVariant = (nft: string, legacy: string) => (variant === 'nft' ? nft : legacy);
  const mask = family === 4 ? '255.255.255.255' : 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff';
  const unreachable = family === 4 ? 'icmp-port-unreachable' : 'icmp6-port-unreachable';
  const target = family === 4 ? '192.0.2.1:80' : '[2001:db8::1]:80';
  const recent = `--name WEFT-PROBE --mask ${mask} --rsource`;
  return [
    filter(inVariant('CONFIG_NF_TABLES', `CONFIG_${ip}_NF_FILTER`), '-j RETURN'),
    mangle(inVariant('CONFIG_NF_TABLES', `CONFIG_${ip}_NF_MANGLE`), '-j RETURN'),
    nat(inVariant('CONFIG_NFT_NAT', `CONFIG_${ip}_NF_NAT`), '-j RETURN'),
    filter(
      `${inVariant('CONFIG_NFT_COMPAT and ', '')}CONFIG_NETFILTER_XT_MATCH_COMMENT`,
      '-m comment --comment "probe" -j RETURN',
    ),
    filter(
      'CONFIG_NETFILTER_XT_MATCH_CONNTRACK',
      '-m conntrack --ctstate INVALID,NEW,DNAT -j RETURN',
    ),
    filter('CONFIG_NETFILTER_XT_MARK', '-m mark --mark 0x4000/0x4000 -j RETURN'),
    filter(`CONFIG_${ip}_NF_TARGET_REJECT`, `-j REJECT --reject-with ${unreachable}`),
    nat('CONFIG_NETFILTER_XT_MARK', '-j MARK --set-xmark 0x4000/0x4000'),
    nat('CONFIG_NETFILTER_XT_MATCH_ADDRTYPE', '-m addrtype --dst-type LOCAL -j RETURN'),
    nat(
      'CONFIG_NETFILTER_XT_MATCH_STATISTIC',
      '-m statistic --mode random --probability 0.5 -j RETURN',
    ),
    nat('CONFIG_NETFILTER_XT_MATCH_RECENT', `-m recent --set ${recent} -j RETURN`),
    nat(
      'CONFIG_NETFILTER_XT_MATCH_RECENT',
      `-m recent --rcheck --seconds 60 --reap ${recent} -j RETURN`,
    ),
    nat('CONFIG_NETFILTER_XT_NAT', `-p tcp -m tcp --dport 80 -j DNAT --to-destination ${target}`),
    leaving('CONFIG_NETFILTER_XT_TARGET_MASQUERADE', '-j MASQUERADE --random-fully'),
  ];
}
