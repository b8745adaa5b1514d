/** What a pod leaves on a node while it is there, and nothing of it afterwards. */
export interface Footprint {
  /** Host ends of veths. */
  readonly links: readonly string[];
  /** Reserved addresses and unfinished journal entries, by file name. */
  readonly addresses: readonly string[];
  /** Results cached by libcni. */
  readonly results: readonly string[];
  /** Network namespaces made by the runtime. */
  readonly netnses: readonly string[];
  /** Pod addresses and per-pod chains in the ruleset. */
  readonly netfilter: readonly string[];
}

export const nothing: Footprint = {
  links: [],
  addresses: [],
  results: [],
  netnses: [],
  netfilter: [],
};

/** Addresses of pods (10.0.0.0/8 and fd00:10::/32), but not subnets or names made from them. */
const podAddress = /(?<![\w.:-])(?:10(?:\.\d+){3}(?![\w./-])|fd00:10:[0-9a-f:]+(?![\w:/-]))/g;
/** The chains the reference bridge (masquerade) and portmap (one container's ports) make. */
const podChain = /\bCNI-(?:DN-)?[0-9a-f]{16,}/g;

/** Reads `nft list ruleset`; structure that stays without pods is left out. */
export function netfilterTraces(ruleset: string): string[] {
  const found = [podAddress, podChain].flatMap((pattern) => ruleset.match(pattern) ?? []);
  return [...new Set(found)].sort();
}
