import { type RuleChain, type RulesChange, TABLES } from '../../../iptables/model.ts';

type ChainName = Pick<RuleChain, 'table' | 'name'>;

/** A chain leads to chains of the kinds before its own. */
const KINDS = [
  /^KUBE-MARK-/,
  /^KUBE-SEP-/,
  /^KUBE-(?:SVC|SVL)-/,
  /^KUBE-(?:EXT|XLB)-/,
  /^KUBE-FW-/,
];

/**
 * The same change in several transactions of not many more than `most` chains each. A chain is made
 * before those that lead to it and deleted after them, so every part is sound by itself.
 */
export function partsOf(change: RulesChange, most: number): readonly RulesChange[] {
  const { chains = [], removedChains = [], ...others } = change;
  if (chains.length + removedChains.length <= most) return [change];
  const made = chunksOf(inOrder(chains), most);
  const removed = chunksOf(inOrder(removedChains).toReversed(), most);
  const last = made.pop() ?? [];
  return [
    ...made.map((part) => ({ chains: part })),
    { chains: last, ...others },
    ...removed.map((part) => ({ removedChains: part })),
  ];
}

/** In the order in which they can be made; shared chains last, those of table filter first. */
function inOrder<T extends ChainName>(chains: readonly T[]): readonly T[] {
  const rankOf = ({ table, name }: ChainName) => {
    const kind = KINDS.findIndex((pattern) => pattern.test(name));
    return kind < 0 ? KINDS.length + TABLES.indexOf(table) : kind;
  };
  const ranked = chains.map((chain) => ({ chain, rank: rankOf(chain) }));
  return ranked.sort((left, right) => left.rank - right.rank).map(({ chain }) => chain);
}

function chunksOf<T>(items: readonly T[], size: number): T[][] {
  const count = Math.ceil(items.length / size);
  return Array.from({ length: count }, (_, i) => items.slice(i * size, (i + 1) * size));
}
