import { decide } from '../../verdict/decide.ts';
import type { Candidate, Packet } from '../../verdict/explanation.ts';
import type { World } from '../../verdict/world.ts';

/** Endpoints that a connection may be forwarded to. */
export interface Forwarding {
  readonly kind: 'forward';
  /** Name of the ServicePort. */
  readonly servicePort: string;
  /** What its endpoints were chosen from. */
  readonly scope: 'cluster' | 'node';
  /** Set for `sessionAffinity: ClientIP`. */
  readonly affinitySeconds: number | undefined;
  readonly candidates: readonly Candidate[];
}

/** What is done with a connection. `ignore` answers nothing, which only UDP can do. */
export type Judgement = Forwarding | { readonly kind: 'refuse' } | { readonly kind: 'ignore' };

/**
 * The verdict that all modes share, limited to what a process can do with a packet that it
 * received.
 */
export function judge(packet: Packet, world: World): Judgement {
  const { verdict, decisions } = decide(packet, world);
  if (verdict.kind === 'drop') return { kind: 'ignore' };
  if (verdict.kind !== 'dnat') return { kind: 'refuse' };
  let servicePort = '';
  let scope: Forwarding['scope'] = 'cluster';
  let affinitySeconds: number | undefined;
  for (const decision of decisions) {
    if (decision.kind === 'frontend') servicePort = decision.servicePort;
    if (decision.kind === 'endpoints') scope = decision.scope;
    if (decision.kind === 'affinity') affinitySeconds = decision.seconds;
  }
  return { kind: 'forward', servicePort, scope, affinitySeconds, candidates: verdict.candidates };
}
