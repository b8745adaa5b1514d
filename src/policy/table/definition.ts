/**
 * Table `inet weft-policy`: constant rules; who may talk to whom is elements.
 *
 * A connection is judged by its own tuples, whatever packet asks: from `ct original saddr` to `ct reply
 * saddr`, who answers behind any DNAT. So both of its directions get one answer.
 *
 * What is asked, in turn: the policy set of the subject (a pod of this node), the identity of its peer,
 * the role that the one has for the other, the class of the port, the verdict that the role has for the
 * class, and where it has none, for the protocol. Registers do not survive a rule, so each rule asks from the
 * beginning; where something is not found the next rule goes on: exact identity, identity by network, the
 * set's default, and last refusal.
 *
 * Connections that both sides allow are stamped with the generation. Those with the current one pass by
 * the first rule; a change that takes something away comes with another generation, and every
 * connection is judged anew.
 *
 * A subject that talks to itself is let through where it would be denied, and asked for no earlier.
 */
import type { Direction } from '../../kube/policy/types.ts';
import type { IPFamily } from '../../net/ip.ts';
import { u8Bytes, u32Bytes } from '../../nftables/bytes.ts';
import { isOfFamily } from '../../nftables/family-match.ts';
import type {
  Chain,
  Element,
  NamedSet,
  Rule,
  Table,
  TableDefinition,
} from '../../nftables/model.ts';
import {
  loadMasked,
  loadRegisters,
  lookupRegisters,
  verdictRegisters,
} from '../../nftables/register-statements.ts';
import { ct, fib, icmpv6, ip6, meta } from '../../nftables/selectors.ts';
import {
  accept,
  drop,
  goTo,
  jump,
  match,
  matchBits,
  matchOrder,
  returnVerdict,
  type Statement,
  setConnectionMark,
} from '../../nftables/statements.ts';
import {
  type DefinitionOptions,
  denyingChain,
  refusingChain,
  tellingChains,
  unreadableChain,
} from './refusals.ts';
import { CT_STATE, commented, rule, SLOT } from './rule-parts.ts';
import {
  CLASSES,
  DEFAULTS,
  DIRECTIONS,
  FAMILIES,
  GENERATIONS,
  ROLES,
  SETS,
  SUFFIX,
  VERDICTS,
} from './sets.ts';

export const POLICY_TABLE: Table = {
  family: 'inet',
  name: 'weft-policy',
  comment: 'NetworkPolicy and ClusterNetworkPolicy',
};

/** Bits of a connection's mark that are the generation; the others are anybody's. */
export const GENERATION_SHIFT = 16;
export const GENERATION_MASK = 0xffff0000;
export const MOST_GENERATIONS = 0xffff;

/** Before FORWARD of iptables, so that what it accepts has passed here. */
const PRIORITY = -1;
const ICMPV6 = 58;
/** Router solicitation and redirect: neighbour discovery is everything between (RFC 4861). */
const [FIRST_ND, LAST_ND] = [133, 137];
const ND_HOP_LIMIT = 255;
const RTN_LOCAL = 2;

/** Whom a subject talks to; as a subject of the other direction it is one itself. */
const PEER = {
  ingress: { 4: ct.originalSaddr4, 6: ct.originalSaddr6 },
  egress: { 4: ct.replySaddr4, 6: ct.replySaddr6 },
} as const;
/** What the role says of the class of the port, and where that is no exception, of the protocol. */
const BY_CLASS = [
  loadRegisters([ct.protocol, ct.replySport], SLOT.class),
  lookupRegisters(CLASSES.name, { keySlot: SLOT.class, dataSlot: SLOT.class }),
  verdictRegisters(VERDICTS.name, SLOT.set),
];
const BY_PROTOCOL = [
  loadRegisters([ct.protocol], SLOT.class),
  verdictRegisters(VERDICTS.name, SLOT.set),
];

export function tableDefinition(options: DefinitionOptions): TableDefinition {
  const families = FAMILIES.flatMap((family) => {
    const { subjects, identities, blocks, selves, inside } = SETS[family];
    return [...Object.values(subjects), identities, blocks, selves, inside];
  });
  return {
    table: POLICY_TABLE,
    sets: [
      ...families,
      ...Object.values(ROLES),
      ...Object.values(DEFAULTS),
      ...[CLASSES, VERDICTS, GENERATIONS],
    ],
    chains: [
      refusingChain(),
      ...DIRECTIONS.flatMap((direction) => [
        ...tellingChains(direction, options),
        denyingChain(direction, options),
      ]),
      unreadableChain(),
      ...FAMILIES.flatMap((family) => [
        ...DIRECTIONS.flatMap((direction) => directionChains(family, direction)),
        judgingChain(family),
      ]),
      forwardChain(),
    ],
  };
}

/** The stamp of a generation as an element: who has it passes. */
export function generationElement(generation: number): Element {
  return { key: u32Bytes(stampOf(generation)) };
}

/** Gives it. It has no verdict, see GENERATIONS: whoever comes here leaves the table at its end. */
export function stampingChain(generation: number): Chain {
  const give = setConnectionMark({ mask: ~GENERATION_MASK, xor: stampOf(generation) });
  return { name: STAMP_CHAIN, rules: [commented(`generation ${generation}`, give)] };
}

export const STAMP_CHAIN = 'generation-stamp';
/** Tables of before had a rule in it with the comment, where this one has an element. */
export const FORMER_CHECK_CHAIN = 'generation-check';

/** The generation that the comment of a stampingChain says. */
export function generationOf(comment: string | undefined): number | undefined {
  const [, digits] = /^generation (\d{1,5})$/.exec(comment ?? '') ?? [];
  const generation = Number(digits ?? 0);
  return generation >= 1 && generation <= MOST_GENERATIONS ? generation : undefined;
}

function stampOf(generation: number): number {
  return (generation << GENERATION_SHIFT) >>> 0;
}

function forwardChain(): Chain {
  return {
    name: 'forward',
    base: { type: 'filter', hook: 'forward', priority: PRIORITY },
    rules: [
      commented(
        'of the current generation',
        loadMasked(ct.mark, GENERATION_MASK, SLOT.address),
        lookupRegisters(GENERATIONS.name, { keySlot: SLOT.address }),
        // What a helper expects begins with the mark of another connection (init_conntrack).
        matchBits(ct.state, CT_STATE.related, '==', 0),
        accept,
      ),
      rule(isOfFamily(4), goTo('judge-ip')),
      // Of the link alone: what was forwarded has a smaller hop limit.
      rule(
        isOfFamily(6),
        match(meta.l4proto, '==', u8Bytes(ICMPV6)),
        match(ip6.hoplimit, '==', u8Bytes(ND_HOP_LIMIT)),
        matchOrder(icmpv6.type, '>=', u8Bytes(FIRST_ND)),
        matchOrder(icmpv6.type, '<=', u8Bytes(LAST_ND)),
        accept,
      ),
      rule(isOfFamily(6), goTo('judge-ip6')),
    ],
  };
}

/**
 * Nobody but subjects is stamped. What claims to be of the node itself is not: its own packets are never
 * forwarded. In IPv4 the kernel takes them for martians.
 */
function judgingChain(family: IPFamily): Chain {
  const suffix = SUFFIX[family];
  return {
    name: `judge-${suffix}`,
    rules: [
      ...(family === 6 ? [rule(match(fib.saddrType, '==', u32Bytes(RTN_LOCAL)), drop)] : []),
      rule(jump(`egress-${suffix}`)),
      rule(jump(`ingress-${suffix}`)),
      rule(goTo(STAMP_CHAIN)),
    ],
  };
}

/**
 * Comes back where the subject's side allows the connection, or only the other side has one. Who has a
 * pod to be known by is judged by the first rule alone, on most ports.
 */
function directionChains(family: IPFamily, direction: Direction): readonly Chain[] {
  const { identities, blocks, selves } = SETS[family];
  const name = `${direction}-${SUFFIX[family]}`;
  const isPeer = (map: NamedSet) => [
    loadRegisters([PEER[direction][family]], SLOT.address),
    lookupRegisters(map.name, { keySlot: SLOT.address, dataSlot: SLOT.identity }),
    lookupRegisters(ROLES[direction].name, { keySlot: SLOT.set, dataSlot: SLOT.beforeSet }),
  ];
  const others = [
    lookupRegisters(DEFAULTS[direction].name, { keySlot: SLOT.set, dataSlot: SLOT.beforeSet }),
  ];
  const judge = (role: readonly Statement[], by: readonly Statement[], comment: string) => {
    const denied = goTo(`no-${name}`);
    return commented(comment, ...subjectOf(family, direction), ...role, ...by, denied);
  };
  const known = 'a pod or node that policies know';
  const block = 'an address in a network that policies know';
  return [
    {
      name: `no-${name}`,
      rules: [
        rule(
          loadRegisters([PEER.ingress[family], PEER.egress[family]], 0),
          lookupRegisters(selves.name, { keySlot: 0 }),
          accept,
        ),
        rule(goTo(`denied-${direction}`)),
      ],
    },
    {
      name: `others-${name}`,
      rules: [
        judge(isPeer(identities), BY_PROTOCOL, `${known}, another port`),
        judge(isPeer(blocks), BY_CLASS, block),
        judge(isPeer(blocks), BY_PROTOCOL, `${block}, another port`),
        judge(others, BY_CLASS, 'anybody else'),
        judge(others, BY_PROTOCOL, 'anybody else, another port'),
        commented('nothing was found', goTo(`no-${name}`)),
      ],
    },
    {
      name,
      rules: [
        judge(isPeer(identities), BY_CLASS, known),
        commented('the subject', ...subjectOf(family, direction), goTo(`others-${name}`)),
        ...(direction === 'egress' ? ingressAlone(family) : []),
      ],
    },
  ];
}

/** Of a connection that policies do not select a pod for as its source. */
function ingressAlone(family: IPFamily): readonly Rule[] {
  const unreadable = CT_STATE.invalid | CT_STATE.untracked;
  return [
    commented('policies select its destination', ...subjectOf(family, 'ingress'), returnVerdict),
    rule(matchBits(ct.state, unreadable, '!=', 0), goTo('unreadable')),
    rule(accept),
  ];
}

function subjectOf(family: IPFamily, direction: Direction): readonly Statement[] {
  const { subjects } = SETS[family];
  const subject = PEER[direction === 'egress' ? 'ingress' : 'egress'][family];
  return [
    loadRegisters([subject], SLOT.address),
    lookupRegisters(subjects[direction].name, { keySlot: SLOT.address, dataSlot: SLOT.beforeSet }),
  ];
}
