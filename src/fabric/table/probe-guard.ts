/**
 * How many questions about paths reach the program that answers them: whoever sends to the probes' port
 * has a rate of its own, all of them together have one, and what is beyond is dropped by the kernel. Who
 * is a peer is asked by the program; an answer may come from any address of a node.
 */
import type { IPFamily } from '../../net/ip.ts';
import { protocolBytes } from '../../nftables/bytes.ts';
import type { Limit } from '../../nftables/encode-limit.ts';
import { isOfFamily } from '../../nftables/family-match.ts';
import type { Chain, NamedSet, Rule } from '../../nftables/model.ts';
import { ip, ip6, meta, type Selector, th } from '../../nftables/selectors.ts';
import {
  counter,
  drop,
  goTo,
  limit,
  lookup,
  match,
  type Statement,
  updateSet,
} from '../../nftables/statements.ts';

export const PROBE_PORTS: NamedSet = { name: 'probe-ports', key: [th.dport] };

/** A peer asks a few times a second at most, and answers what it is asked. */
const OF_ONE: Limit = { perSecond: 100, burst: 200 };
/** Some more than are ever answered in a second. */
const OF_ALL: Limit = { perSecond: 2_000, burst: 2_000 };
/** Who has been silent this long is forgotten. */
const FORGOTTEN_MS = 10_000;
/** When there are more, the rate of all bounds them. */
const MOST_SENDERS = 8_192;

export const DROPPED_PROBES = 'dropped-probes';

const SENDERS: Readonly<Record<IPFamily, NamedSet>> = {
  4: sendersOf('probers-ip', ip.saddr),
  6: sendersOf('probers-ip6', ip6.saddr),
};

export const PROBE_SETS: readonly NamedSet[] = [PROBE_PORTS, ...Object.values(SENDERS)];

/** In the base chain of input. */
export const probesRule: Rule = ruleOf(
  match(meta.l4proto, '==', protocolBytes('udp')),
  lookup(PROBE_PORTS.key, PROBE_PORTS.name),
  goTo('probes-received'),
);

export const PROBE_CHAINS: readonly Chain[] = [
  { name: DROPPED_PROBES, rules: [ruleOf(counter(), drop)] },
  {
    name: 'probes-received',
    rules: [
      ...([4, 6] as const).map((family) => {
        const { key, name } = SENDERS[family];
        return ruleOf(
          isOfFamily(family),
          updateSet(key, name, { over: OF_ONE }),
          goTo(DROPPED_PROBES),
        );
      }),
      ruleOf(limit(OF_ALL, { isOver: true }), goTo(DROPPED_PROBES)),
    ],
  },
];

function sendersOf(name: string, saddr: Selector): NamedSet {
  return { name, key: [saddr], isDynamic: true, timeoutMs: FORGOTTEN_MS, size: MOST_SENDERS };
}

function ruleOf(...statements: readonly Statement[]): Rule {
  return { statements };
}
