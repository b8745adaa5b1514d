/**
 * `ipMasqBackend: iptables`: the rules of the reference bridge, in its chains and with its comments,
 * so that either removes what the other made (pkg/ip/ipmasq_iptables_linux.go).
 */
import type { Iptables } from '../../iptables/programs-sync.ts';
import { cidrFamily } from '../../net/cidr.ts';
import { type IPFamily, ipFamily } from '../../net/ip.ts';
import { BusyError, IoError, toError } from '../../util/errors.ts';
import type { Attachment } from '../attachment.ts';
import { exemptNetworks, type MasqueradeEntry } from '../masquerade-entry.ts';
import { masqueradeChain, restoreText } from './chains.ts';

/** The rules of one attachment. */
export interface IptablesMasquerade {
  readonly owner: Pick<Attachment, 'network' | 'containerId'>;
  readonly entries: readonly MasqueradeEntry[];
}

/** The chain of table `nat` from which packets of pods are led to theirs. */
export const postrouting = 'POSTROUTING';

/** Bounds the race with others who change the same rules. */
const maxAttempts = 5;

const multicast: Readonly<Record<IPFamily, string>> = { 4: '224.0.0.0/4', 6: 'ff00::/8' };
const addressBits: Readonly<Record<IPFamily, number>> = { 4: 32, 6: 128 };

/** The kernel's comment match has 256 bytes with the NUL (xt_comment.h). */
const maxCommentBytes = 255;

/** Adds what is missing; rules that another interface of the container has there stay. */
export function addIptablesMasquerade(iptables: Iptables, wanted: IptablesMasquerade): void {
  for (const family of familiesOf(wanted)) addOfFamily(iptables, family, wanted);
}

/** A restore that fails although nobody was faster fails for another reason. Throws IoError. */
function addOfFamily(iptables: Iptables, family: IPFamily, wanted: IptablesMasquerade): void {
  let failed: { readonly text: string; readonly cause: Error } | undefined;
  for (let attempt = 0; attempt < maxAttempts; attempt += 1) {
    const text = additionsTo(requireSaved(iptables, family), family, [wanted]);
    if (text === undefined) return;
    if (text === failed?.text) throw failed.cause;
    try {
      iptables.restore({ family }, text);
      return;
    } catch (thrown) {
      failed = { text, cause: toError(thrown) };
    }
  }
  throw new BusyError(`chain ${masqueradeChain(wanted.owner)} of table nat keeps changing`, failed);
}

/** The first rule that is not there; undefined when all are. Throws IoError. */
export function findMissingRule(
  iptables: Iptables,
  wanted: IptablesMasquerade,
): string | undefined {
  for (const family of familiesOf(wanted)) {
    const saved = linesOf(requireSaved(iptables, family));
    const missing = rulesOf(family, wanted).find((rule) => !saved.has(rule));
    if (missing !== undefined) return missing;
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
  const present = linesOf(saved);
  const chains = new Set(saved.match(/^:\S+/gm));
  const lines = wanted.flatMap((each) => {
    const chain = masqueradeChain(each.owner);
    const missing = rulesOf(family, each).filter((rule) => !present.has(rule));
    if (missing.length === 0) return [];
    // A chain that were declared (`:chain`) would be emptied.
    return chains.has(`:${chain}`) ? missing.map(inFront) : [`-N ${chain}`, ...missing];
  });
  return lines.length === 0 ? undefined : restoreText(lines);
}

/** Traffic inside the subnets is let through before the rest is masqueraded. */
function inFront(rule: string): string {
  return rule.endsWith(' -j ACCEPT') ? rule.replace(/^-A (\S+)/, '-I $1 1') : rule;
}

/** As iptables-save prints them, so that they can be compared with a listing; in order. */
export function rulesOf(
  family: IPFamily,
  { owner, entries }: IptablesMasquerade,
): readonly string[] {
  const chain = masqueradeChain(owner);
  const comment = commentOf(owner);
  const own = entries.filter(({ address }) => ipFamily(address) === family);
  if (own.length === 0) return [];
  const exempt = new Set(own.flatMap(exemptNetworks));
  return [
    ...Array.from(exempt, (network) => `-A ${chain} -d ${network} ${comment} -j ACCEPT`),
    `-A ${chain} ! -d ${multicast[family]} ${comment} -j MASQUERADE`,
    ...own.map(({ address }) => {
      return `-A ${postrouting} -s ${address}/${addressBits[family]} ${comment} -j ${chain}`;
    }),
  ];
}

/** Names and ids have no character that would have to be quoted: letters, digits, `_`, `.`, `-`. */
function commentOf({ network, containerId }: IptablesMasquerade['owner']): string {
  const text = `name: "${network}" id: "${containerId}"`.slice(0, maxCommentBytes);
  return `-m comment --comment "${text.replaceAll('"', '\\"')}"`;
}

export function familiesOf({ entries }: IptablesMasquerade): readonly IPFamily[] {
  return [...new Set(entries.map(({ subnet }) => cidrFamily(subnet)))];
}

function linesOf(saved: string): ReadonlySet<string> {
  return new Set(saved.split('\n'));
}

function requireSaved(iptables: Iptables, family: IPFamily): string {
  const saved = iptables.save({ family }, 'nat');
  if (saved !== undefined) return saved;
  const program = family === 4 ? 'iptables-save' : 'ip6tables-save';
  throw new IoError(`ipMasqBackend "iptables": ${program} is not installed on this node`);
}
