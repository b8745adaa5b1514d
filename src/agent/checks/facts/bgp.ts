import type { BgpFacts } from '../bgp.ts';
import type { CheckedNode } from '../checked-node.ts';

export async function readBgpFacts({ agent }: CheckedNode): Promise<BgpFacts> {
  return { bgp: await agent?.bgp?.() };
}
