/** Chains of table `inet weft-policy` in which connections end. */
import type { Direction } from '../../kube/policy/types.ts';
import type { IPFamily } from '../../net/ip.ts';
import { protocolBytes, u32Bytes } from '../../nftables/bytes.ts';
import { isOfFamily } from '../../nftables/family-match.ts';
import { jhash } from '../../nftables/generators.ts';
import type { Chain, NamedSet, Rule } from '../../nftables/model.ts';
import { loadRegisters, lookupRegisters } from '../../nftables/register-statements.ts';
import { ct, meta, type Selector, tcp } from '../../nftables/selectors.ts';
import {
  drop,
  goTo,
  jump,
  limit,
  log,
  lookup,
  match,
  matchBits,
  reject,
  returnVerdict,
} from '../../nftables/statements.ts';
import { CT_STATE, commented, rule, SLOT } from './rule-parts.ts';
import { FAMILIES, HEADER, SETS, SUFFIX } from './sets.ts';

const LOGGED_BYTES = 128;
/**
 * Senders share so many limits by their addresses, twice, each time cut otherwise: of those who share one with a
 * sender that is noisy one in eight shares the other one with it too.
 */
const SHARES = 8;
const SEEDS = [0x77656674, 0x6c697374];
const LOGGED = { perSecond: 2, burst: 8 };
const SYN = 2;

export interface DefinitionOptions {
  /** NFLOG group that is told of denied packets; undefined for none. */
  readonly logGroup: number | undefined;
}

export function denyingChain(direction: Direction, { logGroup }: DefinitionOptions): Chain {
  const told = logGroup === undefined ? [] : tellingRules(direction);
  return { name: `denied-${direction}`, rules: [...told, rule(goTo('refuse'))] };
}

function tellingRules(direction: Direction): readonly Rule[] {
  return FAMILIES.map((family) => rule(isOfFamily(family), jump(tellingName(direction, family))));
}

/** None where nobody is told. */
export function tellingChains(
  direction: Direction,
  { logGroup }: DefinitionOptions,
): readonly Chain[] {
  if (logGroup === undefined) return [];
  return FAMILIES.map((family) => {
    const rules = SEEDS.flatMap((seed) =>
      Array.from({ length: SHARES }, (_, i) =>
        rule(
          match(jhash([HEADER[family].saddr], SHARES, { seed }), '==', u32Bytes(i)),
          limit(LOGGED),
          log(logGroup, { prefix: `weft-policy ${direction}`, snapLength: LOGGED_BYTES }),
          returnVerdict,
        ),
      ),
    );
    return { name: tellingName(direction, family), rules };
  });
}

function tellingName(direction: Direction, family: IPFamily): string {
  return `told-${direction}-${SUFFIX[family]}`;
}

/**
 * Senders inside the cluster are told, so that nobody waits for a timeout; others learn nothing. A connection
 * that begins in the middle is one that conntrack has lost, or did not see yet: who began it is not known, so
 * it is not ended.
 */
export function refusingChain(): Chain {
  const isTcp = match(meta.l4proto, '==', protocolBytes('tcp'));
  return {
    name: 'refuse',
    rules: [
      rule(
        isTcp,
        matchBits(ct.state, CT_STATE.new, '!=', 0),
        matchBits(tcp.flags, SYN, '==', 0),
        drop,
      ),
      ...FAMILIES.flatMap((family) => {
        const isInside = lookup([HEADER[family].saddr], SETS[family].inside.name);
        return [
          rule(isOfFamily(family), isTcp, isInside, reject('tcp-reset')),
          rule(isOfFamily(family), isInside, reject('admin-prohibited')),
        ];
      }),
      rule(drop),
    ],
  };
}

/** Of no connection that is known: nobody can say who began it. An answer would end a good one. */
export function unreadableChain(): Chain {
  return {
    name: 'unreadable',
    rules: FAMILIES.flatMap((family) => {
      const { saddr, daddr } = HEADER[family];
      const { egress, ingress } = SETS[family].subjects;
      const among = (comment: string, address: Selector, { name }: NamedSet) =>
        commented(
          comment,
          isOfFamily(family),
          loadRegisters([address], SLOT.address),
          lookupRegisters(name, { keySlot: SLOT.address, dataSlot: SLOT.beforeSet }),
          drop,
        );
      return [
        among('policies select the sender for egress', saddr, egress),
        among('policies select the receiver for ingress', daddr, ingress),
      ];
    }),
  };
}
