import type { UiSnapshot } from '../agent/page/snapshot.ts';

export type Kind = 'service' | 'pod' | 'node';

/** Something on the map, by its list and key. */
export interface Selection {
  readonly kind: Kind;
  readonly key: string;
}

export interface Found extends Selection {
  /** What it is found by, besides its name. */
  readonly detail: string;
}

interface Candidate extends Found {
  readonly text: string;
}

/**
 * What has every word of the query in its name, addresses or ports: at most `most`, those first whose own
 * name begins with it.
 */
export function search(snapshot: UiSnapshot, query: string, most: number): readonly Found[] {
  const words = wordsOf(query);
  if (words.length === 0) return [];
  const found: (readonly [rank: number, found: Found])[] = [];
  for (const { text, ...candidate } of candidates(snapshot)) {
    if (!hasWords(text, words)) continue;
    found.push([rankOf(candidate.key, words[0] ?? ''), candidate]);
  }
  return found
    .sort(([a, one], [b, other]) => a - b || (one.key < other.key ? -1 : 1))
    .slice(0, most)
    .map(([, each]) => each);
}

/** The query in lower case, at its blanks. */
export function wordsOf(query: string): readonly string[] {
  return query.toLowerCase().split(/\s+/).filter(Boolean);
}

export function hasWords(text: string, words: readonly string[]): boolean {
  const lower = text.toLowerCase();
  return words.every((word) => lower.includes(word));
}

function rankOf(key: string, word: string): number {
  const lower = key.toLowerCase();
  const name = lower.slice(lower.indexOf('/') + 1);
  if (name === word || lower === word) return 0;
  if (name.startsWith(word)) return 1;
  return lower.includes(word) ? 2 : 3;
}

function* candidates({ services, pods, peers }: UiSnapshot): Generator<Candidate> {
  for (const { key, addresses, ports, endpoints } of services) {
    const numbers = ports.map(({ name, port, nodePort }) => `${port} ${nodePort || ''} ${name}`);
    const own = endpoints.map(({ address }) => address).join(' ');
    const detail = `${addresses[0] ?? ''}:${ports[0]?.port ?? ''}`;
    yield {
      kind: 'service',
      key,
      detail,
      text: `${key} ${addresses.join(' ')} ${numbers.join(' ')} ${own}`,
    };
  }
  for (const { key, addresses, veth = '' } of pods) {
    yield {
      kind: 'pod',
      key,
      detail: addresses[0] ?? '',
      text: `${key} ${addresses.join(' ')} ${veth}`,
    };
  }
  for (const { key, addresses, podCIDRs } of peers) {
    const text = `${key} ${addresses.join(' ')} ${podCIDRs.join(' ')}`;
    yield { kind: 'node', key, detail: addresses[0] ?? '', text };
  }
}
