/**
 * Host ports as rules of iptables, in the chains and with the comments of the reference's back end of
 * that name, for networks whose configuration asks for what only iptables does:
 *
 *     PREROUTING, OUTPUT    to an address of the node        -> CNI-HOSTPORT-DNAT
 *     CNI-HOSTPORT-DNAT     a pod's ports and its conditions -> CNI-DN-<digest>
 *     CNI-DN-<digest>       sources to be masqueraded        -> CNI-HOSTPORT-SETMARK or a chain of others'
 *                           a port                           -> DNAT
 *     POSTROUTING           marked                           -> CNI-HOSTPORT-MASQ, which masquerades
 */

import { type ListedTable, targetOf } from '../../iptables/listing.ts';
import type { Iptables } from '../../iptables/programs-sync.ts';
import { hostCidr } from '../../net/cidr.ts';
import { formatHostPort } from '../../net/host-port.ts';
import { type IPFamily, parseIP } from '../../net/ip.ts';
import type { HostPort, HostPortRecord } from '../host-ports.ts';
import { hostPortChain } from '../iptables/chains.ts';
import { appendsOf, changeTable, deletionOf, listTable, quoted } from '../iptables/change.ts';
import { NAT_TABLES } from '../iptables/kernel-view.ts';
import type { Nftables } from '../node.ts';

/** A record whose ports are rules of iptables. */
export type IptablesRecord = HostPortRecord & Required<Pick<HostPortRecord, 'iptables'>>;

const DNAT_CHAIN = 'CNI-HOSTPORT-DNAT';
const MARK_CHAIN = 'CNI-HOSTPORT-SETMARK';
const MASQUERADE_CHAIN = 'CNI-HOSTPORT-MASQ';
const TABLE = 'nat';

/** Most ports of one rule (XT_MULTI_PORTS). */
const MAX_PORTS = 15;
/** The kernel's comment match has 256 bytes with the NUL (xt_comment.h). */
const MAX_COMMENT_BYTES = 255;

export function usesIptables(record: HostPortRecord): record is IptablesRecord {
  return record.iptables !== undefined;
}

/** Makes the chain of the attachment anew, and what is missing of what all share. Throws IoError. */
export function publishByIptables(iptables: Iptables, record: IptablesRecord): void {
  for (const family of familiesOf(record)) {
    changeTable(iptables, { family, table: TABLE }, (listed) => [
      ...sharedLines(listed, record),
      ...podLines(listed, family, record),
    ]);
  }
}

/** Throws when a rule is missing. */
export function requireByIptables(iptables: Iptables, record: IptablesRecord): void {
  for (const family of familiesOf(record)) {
    const missing = missingRule(listTable(iptables, { family, table: TABLE }), family, record);
    if (missing !== undefined) throw new Error(`table nat of iptables lacks "${missing}"`);
  }
}

/** The first rule that table `nat` lacks, or the chain that too few ways lead to. Pure. */
export function missingRule(
  listed: ListedTable,
  family: IPFamily,
  record: IptablesRecord,
): string | undefined {
  const chain = hostPortChain(record.attachment);
  const present = new Set(appendsOf(listed));
  const [missing] = [
    ...sharedLines(listed, record),
    ...portRules(chain, family, record).filter((rule) => !present.has(rule)),
    ...(waysTo(listed, chain).length < entryRules(chain, family, record).length ? [chain] : []),
  ];
  return missing;
}

/** Whether nf_tables shows as many rules as there ought to be; those of iptables-legacy it never shows. */
export function hasAsManyRules(
  nft: Pick<Nftables, 'rules'>,
  family: IPFamily,
  record: IptablesRecord,
): boolean {
  const chain = hostPortChain(record.attachment);
  const rulesIn = (name: string) => nft.rules(NAT_TABLES[family], name);
  const leading = (from: string, to: string) =>
    rulesIn(from).filter(({ target }) => target === to).length;
  return (
    rulesIn(chain).length >= portRules(chain, family, record).length &&
    leading(DNAT_CHAIN, chain) >= entryRules(chain, family, record).length &&
    ['PREROUTING', 'OUTPUT'].every((hook) => leading(hook, DNAT_CHAIN) > 0)
  );
}

/** Nothing that a rule of ours could be confused with: lines as iptables-save prints them. */
function sharedLines(
  listed: ListedTable,
  { masquerade, iptables: { setMarkChain, markBit } }: IptablesRecord,
): readonly string[] {
  const local = `-m addrtype --dst-type LOCAL -j ${DNAT_CHAIN}`;
  const hasOwnMark = masquerade !== 'none' && setMarkChain === undefined;
  const value = `0x${(2 ** markBit).toString(16)}`;
  const mark = `${value}/${value}`;
  const marked = '-m comment --comment "CNI portfwd masquerade mark"';
  const needed = [
    { chain: DNAT_CHAIN, rules: [`-A PREROUTING ${local}`, `-A OUTPUT ${local}`] },
    ...(hasOwnMark
      ? [
          {
            chain: MARK_CHAIN,
            rules: [`-A ${MARK_CHAIN} ${marked} -j MARK --set-xmark ${mark}`],
          },
          {
            chain: MASQUERADE_CHAIN,
            rules: [
              `-A ${MASQUERADE_CHAIN} -m mark --mark ${mark} -j MASQUERADE`,
              `-A POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j ${MASQUERADE_CHAIN}`,
            ],
          },
        ]
      : []),
  ];
  const present = new Set(appendsOf(listed));
  return needed.flatMap(({ chain, rules }) => [
    ...(listed.has(chain) ? [] : [`-N ${chain}`]),
    // In front of what masquerades pods: it would keep the source of some.
    ...rules
      .filter((rule) => !present.has(rule))
      .map((rule) => rule.replace(/^-A POSTROUTING /, '-I POSTROUTING 1 ')),
  ]);
}

/** A declared chain is made, or emptied where it is there. */
function podLines(
  listed: ListedTable,
  family: IPFamily,
  record: IptablesRecord,
): readonly string[] {
  const chain = hostPortChain(record.attachment);
  return [
    ...waysTo(listed, chain).map(deletionOf),
    `:${chain} - [0:0]`,
    ...portRules(chain, family, record),
    ...entryRules(chain, family, record),
  ];
}

/** The conditions are words of the administrator: each is quoted by itself. */
function entryRules(
  chain: string,
  family: IPFamily,
  { attachment, ports, iptables }: IptablesRecord,
): readonly string[] {
  const { network, containerId } = attachment;
  const comment = `dnat name: "${network}" id: "${containerId}"`.slice(0, MAX_COMMENT_BYTES);
  const conditions = iptables.conditions[family].map(quoted).join(' ');
  const byProtocol = Map.groupBy(
    ports.filter((port) => port.family === family),
    ({ protocol }) => protocol,
  );
  return [...byProtocol].flatMap(([protocol, own]) => {
    const numbers = [...new Set(own.map(({ port }) => port))];
    return inParts(numbers, MAX_PORTS).map((part) =>
      [
        `-A ${DNAT_CHAIN} -m comment --comment ${quoted(comment)}`,
        `-p ${protocol} -m multiport --dports ${part.join(',')}`,
        ...(conditions === '' ? [] : [conditions]),
        `-j ${chain}`,
      ].join(' '),
    );
  });
}

/** As iptables-save prints them. */
function portRules(
  chain: string,
  family: IPFamily,
  { ports, pods, masquerade, iptables: { setMarkChain = MARK_CHAIN } }: IptablesRecord,
): readonly string[] {
  return ports
    .filter((port) => port.family === family)
    .flatMap((port) => {
      const sources = markedSources(port, { pods, masquerade });
      return [
        ...sources.map((source) => `-A ${chain} ${source}${matchOf(port)} -j ${setMarkChain}`),
        `-A ${chain} ${matchOf(port)} -j DNAT --to-destination ${destinationOf(port)}`,
      ];
    });
}

/** Whose answers would not come back: the pod's and its neighbours', and for IPv4 the node's loopback. */
function markedSources(
  { family, target }: HostPort,
  { pods, masquerade }: Pick<HostPortRecord, 'pods' | 'masquerade'>,
): readonly string[] {
  if (masquerade === 'none') return [];
  if (masquerade === 'all') return [''];
  const subnet = pods.find(({ address }) => address === target)?.subnet ?? hostCidr(target);
  const loopback = family === 4 ? [`-s ${hostCidr(parseIP('127.0.0.1'))} `] : [];
  return [`-s ${subnet} `, ...loopback];
}

function matchOf({ protocol, port, address }: HostPort): string {
  const destination = address === undefined ? '' : `-d ${hostCidr(address)} `;
  return `${destination}-p ${protocol} -m ${protocol} --dport ${port}`;
}

function destinationOf({ target, targetPort }: HostPort): string {
  return formatHostPort(target, targetPort);
}

function waysTo(listed: ListedTable, chain: string): readonly string[] {
  return appendsOf(listed).filter((rule) => targetOf(rule) === chain);
}

export function familiesOf({ ports }: HostPortRecord): readonly IPFamily[] {
  return [...new Set(ports.map(({ family }) => family))];
}

function inParts<T>(items: readonly T[], most: number): readonly (readonly T[])[] {
  const count = Math.ceil(items.length / most);
  return Array.from({ length: count }, (_, part) => items.slice(part * most, (part + 1) * most));
}
