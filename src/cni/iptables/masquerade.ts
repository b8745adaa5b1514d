/**
 * `ipMasqBackend: iptables`: the rules of the reference bridge, in its chains and with its comments,
 * so that either removes what the other made (pkg/ip/ipmasq_iptables_linux.go).
 */
import type { Iptables } from '../../kernel/iptables.ts';
import { type Cidr, cidrFamily } from '../../net/cidr.ts';
import { type IP, type IPFamily, ipFamily } from '../../net/ip.ts';
import { IoError } from '../../util/errors.ts';
import type { Attachment } from '../attachment.ts';
import { masqueradeChain, restoreText } from './chains.ts';

/** The rules of one attachment. */
export interface IptablesMasquerade {
  readonly owner: Pick<Attachment, 'network' | 'containerId'>;
  readonly entries: readonly { readonly address: IP; readonly subnet: Cidr }[];
}

const multicast: Readonly<Record<IPFamily, string>> = { 4: '224.0.0.0/4', 6: 'ff00::/8' };
const addressBits: Readonly<Record<IPFamily, number>> = { 4: 32, 6: 128 };

/** The kernel's comment match has 256 bytes with the NUL (xt_comment.h). */
const maxCommentBytes = 255;

/** Adds what is missing; rules that another interface of the container has there stay. */
export function addIptablesMasquerade(iptables: Iptables, wanted: IptablesMasquerade): void {
  for (const family of familiesOf(wanted)) {
    const saved = requireSaved(iptables, family);
    const lines = additions(saved, family, wanted);
    if (lines.length > 0) iptables.restore(family, restoreText(lines));
  }
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
 * A chain in which anything is missing is written anew, because its order counts: traffic inside the
 * subnets is let through before the rest is masqueraded.
 */
function additions(saved: string, family: IPFamily, wanted: IptablesMasquerade): readonly string[] {
  const present = linesOf(saved);
  const chain = masqueradeChain(wanted.owner);
  const rules = rulesOf(family, wanted);
  const inChain = rules.filter((rule) => rule.startsWith(`-A ${chain} `));
  const ways = rules.filter((rule) => !inChain.includes(rule) && !present.has(rule));
  if (inChain.every((rule) => present.has(rule))) return ways;
  const kept = [...present].filter((rule) => {
    return rule.startsWith(`-A ${chain} `) && !inChain.includes(rule);
  });
  // A chain that is declared is emptied, or made.
  return [`:${chain} - [0:0]`, ...kept, ...inChain, ...ways];
}

/** As iptables-save prints them, so that they can be compared with a listing. */
function rulesOf(family: IPFamily, { owner, entries }: IptablesMasquerade): readonly string[] {
  const chain = masqueradeChain(owner);
  const comment = commentOf(owner);
  const own = entries.filter(({ address }) => ipFamily(address) === family);
  const subnets = new Set(own.map(({ subnet }) => subnet));
  return [
    ...Array.from(subnets, (subnet) => `-A ${chain} -d ${subnet} ${comment} -j ACCEPT`),
    `-A ${chain} ! -d ${multicast[family]} ${comment} -j MASQUERADE`,
    ...own.map(({ address }) => {
      return `-A POSTROUTING -s ${address}/${addressBits[family]} ${comment} -j ${chain}`;
    }),
  ];
}

/** Names and ids have no character that would have to be quoted: letters, digits, `_`, `.`, `-`. */
function commentOf({ network, containerId }: IptablesMasquerade['owner']): string {
  const text = `name: "${network}" id: "${containerId}"`.slice(0, maxCommentBytes);
  return `-m comment --comment "${text.replaceAll('"', '\\"')}"`;
}

function familiesOf({ entries }: IptablesMasquerade): readonly IPFamily[] {
  return [...new Set(entries.map(({ subnet }) => cidrFamily(subnet)))];
}

function linesOf(saved: string): ReadonlySet<string> {
  return new Set(saved.split('\n'));
}

function requireSaved(iptables: Iptables, family: IPFamily): string {
  const saved = iptables.save(family);
  if (saved !== undefined) return saved;
  const program = family === 4 ? 'iptables-save' : 'ip6tables-save';
  throw new IoError(`ipMasqBackend "iptables": ${program} is not installed on this node`);
}
