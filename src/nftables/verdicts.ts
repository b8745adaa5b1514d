/** Verdicts as text (`goto n5`) and as the kernel's codes (enum nft_verdicts, NF_ACCEPT, NF_DROP). */

export interface Verdict {
  readonly code: number;
  readonly chain: string | undefined;
}

const CODES = { drop: 0, accept: 1, continue: -1, jump: -3, goto: -4, return: -5 } as const;
const PLAIN = new Map<number, string>([
  [CODES.drop, 'drop'],
  [CODES.accept, 'accept'],
  [CODES.continue, 'continue'],
  [CODES.return, 'return'],
]);

/** Parses `accept`, `drop`, `return`, `continue`, `goto <chain>` or `jump <chain>`. */
export function parseVerdict(text: string): Verdict {
  const space = text.indexOf(' ');
  const word = space < 0 ? text : text.slice(0, space);
  const chain = space < 0 ? '' : text.slice(space + 1);
  const needsChain = word === 'goto' || word === 'jump';
  if (!isVerdictWord(word) || needsChain !== chain.length > 0) {
    throw new RangeError(`verdict ${JSON.stringify(text)}: unknown`);
  }
  return { code: CODES[word], chain: needsChain ? chain : undefined };
}

/** The text that parseVerdict takes; codes outside nf_tables' own become `code <n>`. */
export function formatVerdict(code: number, chain: string | undefined): string {
  if (chain !== undefined) return `${code === CODES.jump ? 'jump' : 'goto'} ${chain}`;
  return PLAIN.get(code) ?? `code ${code}`;
}

function isVerdictWord(word: string): word is keyof typeof CODES {
  return Object.hasOwn(CODES, word);
}
