/**
 * `ipMasqBackend: iptables`: the rules of the reference bridge, in its chains and with its comments,
 * so that either removes what the other made (pkg/ip/ipmasq_iptables_linux.go).
 */
import { type ListedTable, parseListing } from '../../iptables/listing.ts';
import type { Iptables } from '../../iptables/programs-sync.ts';
import { tableText } from '../../iptables/restore-text.ts';
import { settleSync } from '../../iptables/settle.ts';
import { cidrFamily, hostCidr } from '../../net/cidr.ts';
import { type IPFamily, ipFamily } from '../../net/ip.ts';
import { IoError } from '../../util/errors.ts';
import { exemptNetworks } from '../masquerade-entry.ts';
import type { IptablesMasquerade } from '../node-plan.ts';
import { masqueradeChain } from './chains.ts';

/** The chain of table `nat` from which packets of pods are led to theirs. */
export const POSTROUTING = 'POSTROUTING';

const MULTICAST: Readonly<Record<IPFamily, string>> = { 4: '224.0.0.0/4', 6: 'ff00::/8' };

/** The kernel's comment match has 256 bytes with the NUL (xt_comment.h). */
const MAX_COMMENT_BYTES = 255;

/** Adds what is missing; rules that another interface of the container has there stay. */
export function addIptablesMasquerade(iptables: Iptables, wanted: IptablesMasquerade): void {
  for (const family of familiesOf(wanted)) {
    settleSync(`rules of chain ${masqueradeChain(wanted.owner)}`, () => {
      const text = additionsTo(requireSaved(iptables, family), family, [wanted]);
      if (text === undefined) return undefined;
      return { key: text, apply: () => iptables.restore({ family }, text) };
    });
  }
}

/** The first rule that is not there; undefined when all are. Throws IoError. */
export function findMissingRule(
  iptables: Iptables,
  wanted: IptablesMasquerade,
): string | undefined {
  for (const family of familiesOf(wanted)) {
    const { nat } = parseListing(requireSaved(iptables, family));
    const missing = rulesOf(family, wanted).find((rule) => !isIn(nat, rule));
    if (missing !== undefined) return appended(missing);
  }
  return undefined;
}

/** Which container's masquerade rule this is, as far as its comment says. */
export function ownerOfRule(rule: string): IptablesMasquerade['owner'] | undefined {
  const pattern = /--comment "name: \\"(?<network>[\w.-]+)\\" id: \\"(?<containerId>[\w.-]+)\\""/;
  const { network, containerId } = pattern.exec(rule)?.groups ?? {};
  return network === undefined || containerId === undefined ? undefined : { network, containerId };
}

/**
 * What iptables-restore is told to add what a listing of table `nat` has not; undefined when nothing is
 * missing. Owners are told once each. It fails where a chain has been made since the listing, and
 * takes nothing away. Pure.
 */
export function additionsTo(
  saved: string,
  family: IPFamily,
  wanted: readonly IptablesMasquerade[],
): string | undefined {
  const { nat } = parseListing(saved);
  const lines = wanted.flatMap((each) => {
    const chain = masqueradeChain(each.owner);
    const missing = rulesOf(family, each).filter((rule) => !isIn(nat, rule));
    if (missing.length === 0) return [];
    // A chain that were declared (`:chain`) would be emptied.
    return nat.has(chain) ? missing.map(inFront) : [`-N ${chain}`, ...missing.map(appended)];
  });
  return lines.length === 0 ? undefined : tableText('nat', lines);
}

function isIn(table: ListedTable, { chain, rule }: PlacedRule): boolean {
  return table.get(chain)?.includes(rule) === true;
}

/** Traffic inside the subnets is let through before the rest is masqueraded. */
function inFront({ chain, rule }: PlacedRule): string {
  return rule.endsWith(' -j ACCEPT') ? `-I ${chain} 1 ${rule}` : appended({ chain, rule });
}

function appended({ chain, rule }: PlacedRule): string {
  return `-A ${chain} ${rule}`;
}

/** A rule as iptables-save prints it behind `-A <chain>`. */
interface PlacedRule {
  readonly chain: string;
  readonly rule: string;
}

/** In words that can be compared with a listing; in order. */
export function rulesOf(
  family: IPFamily,
  { owner, entries }: IptablesMasquerade,
): readonly PlacedRule[] {
  const chain = masqueradeChain(owner);
  const comment = commentOf(owner);
  const own = entries.filter(({ address }) => ipFamily(address) === family);
  if (own.length === 0) return [];
  const exempt = new Set(own.flatMap(exemptNetworks));
  return [
    ...Array.from(exempt, (network) => ({ chain, rule: `-d ${network} ${comment} -j ACCEPT` })),
    { chain, rule: `! -d ${MULTICAST[family]} ${comment} -j MASQUERADE` },
    ...own.map(({ address }) => {
      return { chain: POSTROUTING, rule: `-s ${hostCidr(address)} ${comment} -j ${chain}` };
    }),
  ];
}

/** Names and ids have no character that would have to be quoted: letters, digits, `_`, `.`, `-`. */
function commentOf({ network, containerId }: IptablesMasquerade['owner']): string {
  const text = `name: "${network}" id: "${containerId}"`.slice(0, MAX_COMMENT_BYTES);
  return `-m comment --comment "${text.replaceAll('"', '\\"')}"`;
}

export function familiesOf({ entries }: IptablesMasquerade): readonly IPFamily[] {
  return [...new Set(entries.map(({ subnet }) => cidrFamily(subnet)))];
}

function requireSaved(iptables: Iptables, family: IPFamily): string {
  const saved = iptables.save({ family }, 'nat');
  if (saved !== undefined) return saved;
  const program = family === 4 ? 'iptables-save' : 'ip6tables-save';
  throw new IoError(`ipMasqBackend "iptables": ${program} is not installed on this node`);
}
