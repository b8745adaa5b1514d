/**
 * Table `inet weft-policy`: constant rules; who may talk to whom is elements.
 *
 * A connection is judged by its own tuples, whatever packet asks: from `ct original saddr` to `ct reply
 * saddr`, who answers behind any DNAT. So both of its directions get one answer.
 *
 * What is asked, in turn: the policy set of the subject (a pod of this node), the identity of its peer,
 * the role that the one has for the other, the verdict that the role has for a port. Registers do not
 * survive a rule, so each rule asks from the beginning; where something is not found the next rule goes
 * on: exact identity, identity by network, the set's default, and last refusal.
 *
 * Connections that both sides allow are stamped with the generation. Those with the current one pass by
 * the first rule; a change that takes something away comes with another generation, and every
 * connection is judged anew.
 */
import type { Direction } from '../../kube/policy/types.ts';
import type { IPFamily } from '../../net/ip.ts';
import { u8Bytes, u32Bytes } from '../../nftables/bytes.ts';
import { isOfFamily } from '../../nftables/family-match.ts';
import type { Chain, NamedSet, Table, TableDefinition } from '../../nftables/model.ts';
import {
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
  type Statement,
  setConnectionMark,
} from '../../nftables/statements.ts';
import {
  type DefinitionOptions,
  denyingChain,
  refusingChain,
  unreadableChain,
} from './refusals.ts';
import { CT_STATE, commented, rule, SLOT } from './rule-parts.ts';
import { DEFAULTS, DIRECTIONS, FAMILIES, ROLES, SETS, SUFFIX, VERDICTS } from './sets.ts';

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

const FROM = { 4: ct.originalSaddr4, 6: ct.originalSaddr6 } as const;
const TO = { 4: ct.replySaddr4, 6: ct.replySaddr6 } as const;

export function tableDefinition(options: DefinitionOptions): TableDefinition {
  const families = FAMILIES.flatMap((family) => {
    const { subjects, identities, blocks, selves, inside } = SETS[family];
    return [...Object.values(subjects), identities, blocks, selves, inside];
  });
  return {
    table: POLICY_TABLE,
    sets: [...families, ...Object.values(ROLES), ...Object.values(DEFAULTS), VERDICTS],
    chains: [
      refusingChain(),
      ...DIRECTIONS.map((direction) => denyingChain(direction, options)),
      ...FAMILIES.flatMap((family) => [
        ...DIRECTIONS.map((direction) => directionChain(family, direction)),
        judgingChain(family),
      ]),
      unreadableChain(),
      forwardChain(),
    ],
  };
}

/** What passes by its stamp, and who gives it. They are replaced with each generation. */
export function generationChains(generation: number): readonly Chain[] {
  const stamp = (generation << GENERATION_SHIFT) >>> 0;
  const comment = `generation ${generation}`;
  const isCurrent = matchBits(ct.mark, GENERATION_MASK, '==', stamp);
  const give = setConnectionMark({ mask: ~GENERATION_MASK, xor: stamp });
  return [
    { name: CHECK_CHAIN, rules: [{ statements: [isCurrent, accept], comment }] },
    { name: STAMP_CHAIN, rules: [{ statements: [give, accept] }] },
  ];
}

export const CHECK_CHAIN = 'generation-check';
const STAMP_CHAIN = 'generation-stamp';

/** The generation that a comment of generationChains says. */
export function generationOf(comment: string | undefined): number | undefined {
  const [, digits] = /^generation (\d{1,5})$/.exec(comment ?? '') ?? [];
  const generation = Number(digits ?? 0);
  return generation >= 1 && generation <= MOST_GENERATIONS ? generation : undefined;
}

function forwardChain(): Chain {
  const known = CT_STATE.established | CT_STATE.related;
  const unreadable = CT_STATE.invalid | CT_STATE.untracked;
  return {
    name: 'forward',
    base: { type: 'filter', hook: 'forward', priority: PRIORITY },
    rules: [
      rule(matchBits(ct.state, known, '!=', 0), jump(CHECK_CHAIN)),
      // Of the link alone: what was forwarded has a smaller hop limit.
      rule(
        isOfFamily(6),
        match(meta.l4proto, '==', u8Bytes(ICMPV6)),
        match(ip6.hoplimit, '==', u8Bytes(ND_HOP_LIMIT)),
        matchOrder(icmpv6.type, '>=', u8Bytes(FIRST_ND)),
        matchOrder(icmpv6.type, '<=', u8Bytes(LAST_ND)),
        accept,
      ),
      rule(matchBits(ct.state, unreadable, '!=', 0), goTo('unreadable')),
      ...FAMILIES.map((family) => rule(isOfFamily(family), goTo(`judge-${SUFFIX[family]}`))),
    ],
  };
}

/**
 * Nobody but subjects is stamped, nor asked more than two questions. What claims to be of the node itself is
 * not: its own packets are never forwarded. In IPv4 the kernel takes them for martians.
 */
function judgingChain(family: IPFamily): Chain {
  const { subjects, selves } = SETS[family];
  const isSubject = {
    egress: subjectOf(family, 'egress'),
    ingress: subjectOf(family, 'ingress'),
  };
  return {
    name: `judge-${SUFFIX[family]}`,
    rules: [
      ...(family === 6 ? [rule(match(fib.saddrType, '==', u32Bytes(RTN_LOCAL)), drop)] : []),
      rule(
        loadRegisters([FROM[family], TO[family]], 0),
        lookupRegisters(selves.name, { keySlot: 0 }),
        accept,
      ),
      ...DIRECTIONS.map((each) =>
        commented(
          `policies select a pod for ${each}`,
          ...isSubject[each],
          jump(`${each}-${SUFFIX[family]}`),
        ),
      ),
      ...DIRECTIONS.map((each) =>
        commented(`allowed, also for ${each}`, ...isSubject[each], goTo(STAMP_CHAIN)),
      ),
    ],
  };

  function subjectOf(of: IPFamily, direction: Direction): readonly Statement[] {
    const address = direction === 'egress' ? FROM[of] : TO[of];
    return [
      loadRegisters([address], SLOT.address),
      lookupRegisters(subjects[direction].name, {
        keySlot: SLOT.address,
        dataSlot: SLOT.beforeSet,
      }),
    ];
  }
}

/** Returns where the subject's side allows the connection. */
function directionChain(family: IPFamily, direction: Direction): Chain {
  const { subjects, identities, blocks } = SETS[family];
  const [subject, peer] =
    direction === 'egress' ? [FROM[family], TO[family]] : [TO[family], FROM[family]];
  const denied = goTo(`denied-${direction}`);
  const set = [
    loadRegisters([subject], SLOT.address),
    lookupRegisters(subjects[direction].name, { keySlot: SLOT.address, dataSlot: SLOT.beforeSet }),
  ];
  const verdict = [
    loadRegisters([ct.protocol], SLOT.protocol),
    loadRegisters([ct.replySport], SLOT.port),
    verdictRegisters(VERDICTS.name, SLOT.set),
  ];
  const byIdentity = (map: NamedSet, comment: string) =>
    commented(
      comment,
      ...set,
      loadRegisters([peer], SLOT.address),
      lookupRegisters(map.name, { keySlot: SLOT.address, dataSlot: SLOT.identity }),
      lookupRegisters(ROLES[direction].name, { keySlot: SLOT.set, dataSlot: SLOT.beforeSet }),
      ...verdict,
      denied,
    );
  const ofSet = lookupRegisters(DEFAULTS[direction].name, {
    keySlot: SLOT.set,
    dataSlot: SLOT.beforeSet,
  });
  return {
    name: `${direction}-${SUFFIX[family]}`,
    rules: [
      byIdentity(identities, 'a pod or node that policies know'),
      byIdentity(blocks, 'an address in a network that policies know'),
      commented('anybody else', ...set, ofSet, ...verdict, denied),
      commented('nothing was found', denied),
    ],
  };
}
