import type { IP } from '../../net/ip.ts';
import type { Hook } from '../../nftables/model.ts';
import type { TraceEvent } from '../../nftables/trace.ts';
import { CHAIN } from '../../proxy/modes/nftables/chain-names.ts';
import type { Explanation } from '../../proxy/verdict/explanation.ts';
import type { PolicyOutcome } from './policy-outcome.ts';

/** The chains of the trace table, by hook. */
export const TRACE_CHAIN: Readonly<Record<Hook, string>> = {
  prerouting: 'weft-trace-in',
  output: 'weft-trace-out',
  input: 'weft-trace-delivered',
  postrouting: 'weft-trace-sent',
  forward: 'weft-trace-forwarded',
};

export const TRACE_TABLE_PREFIX = 'weft-trace-';
const PROXY_TABLE = 'weft-proxy';
const POLICY_TABLE = 'weft-policy';

/** Where a packet really went. */
export type LiveOutcome =
  | {
      readonly kind: 'sent' | 'delivered';
      readonly source: IP;
      readonly destination: IP;
      readonly port: number | undefined;
    }
  | {
      /**
       * `refused` by our reject chain, `denied` by policies; what others reject looks like a drop.
       */
      readonly kind: 'refused' | 'denied' | 'dropped';
      /** `ip weft-proxy` */
      readonly table: string;
      readonly chain: string;
    }
  | { readonly kind: 'unknown' };

export interface LiveAnswer {
  readonly outcome: LiveOutcome;
  /** False when the packet belongs to a connection that was there before. */
  readonly isNewConnection: boolean;
  /** Undefined where the model says nothing about it. */
  readonly agreesWithModel: boolean | undefined;
  /** `ip weft-proxy services -> goto n3`, in order. */
  readonly steps: readonly string[];
}

/** Whether nothing more of the packet is to be expected. */
export function isEndOfTrace({ chain, verdict }: TraceEvent): boolean {
  return chain === TRACE_CHAIN.input || chain === TRACE_CHAIN.postrouting || verdict === 'drop';
}

/** What these events of one packet say; undefined without any. */
export function readTrace(
  events: readonly TraceEvent[],
  explanation: Explanation,
  policies: readonly PolicyOutcome[] = [],
): LiveAnswer | undefined {
  const [first] = events;
  if (first === undefined) return undefined;
  const outcome = outcomeOf(events);
  const isNewConnection = events.some(
    ({ table, chain }) => table === PROXY_TABLE && chain.startsWith('nat-'),
  );
  return {
    outcome,
    isNewConnection,
    agreesWithModel: isNewConnection ? agrees(outcome, explanation, policies) : undefined,
    steps: stepsOf(events),
  };
}

function outcomeOf(events: readonly TraceEvent[]): LiveOutcome {
  const last = events.find(isEndOfTrace);
  if (last === undefined) return { kind: 'unknown' };
  if (last.verdict === 'drop') {
    return {
      kind: refusalOf(last),
      table: `${last.family} ${last.table}`,
      chain: last.chain,
    };
  }
  if (last.packet === undefined) return { kind: 'unknown' };
  const { source, destination, destinationPort: port } = last.packet;
  const kind = last.chain === TRACE_CHAIN.input ? 'delivered' : 'sent';
  return { kind, source, destination, port };
}

function refusalOf({ table, chain }: TraceEvent): 'refused' | 'denied' | 'dropped' {
  if (table === POLICY_TABLE) return 'denied';
  return table === PROXY_TABLE && chain === CHAIN.reject ? 'refused' : 'dropped';
}

/** Of a denied packet only its end is known, not which of several endpoints it was for. */
function agrees(
  outcome: LiveOutcome,
  explanation: Explanation,
  policies: readonly PolicyOutcome[],
): boolean | undefined {
  if (outcome.kind === 'denied') return policies.some(({ isAllowed }) => !isAllowed);
  const reached = policies.find(
    ({ ip, port }) => 'port' in outcome && ip === outcome.destination && port === outcome.port,
  );
  return reached?.isAllowed === false ? false : agreesWithProxy(outcome, explanation);
}

function agreesWithProxy(
  outcome: LiveOutcome,
  { packet, decisions, verdict }: Explanation,
): boolean | undefined {
  if (outcome.kind === 'unknown') return undefined;
  switch (verdict.kind) {
    case 'reject':
      return outcome.kind === 'refused';
    case 'drop':
    case 'reset':
      return outcome.kind === 'dropped';
    case 'pass':
      return outcome.kind === 'sent' || outcome.kind === 'delivered' ? true : undefined;
    case 'dnat': {
      if (!('destination' in outcome)) return false;
      const { destination, port, source } = outcome;
      const chosen = verdict.candidates.find((one) => one.ip === destination && one.port === port);
      if (chosen === undefined) return false;
      const isRemembered = decisions.some(({ kind }) => kind === 'affinity');
      if (chosen.probability === 0 && !isRemembered) return false;
      // The node's own address may be what it would be replaced by.
      const isOfNode = decisions.some((step) => step.kind === 'origin' && step.origin === 'node');
      if (isOfNode && chosen.isMasqueraded) return true;
      return chosen.isMasqueraded === (source !== packet.source);
    }
  }
}

/** Chains of the trace table are how we know, not what happened. */
function stepsOf(events: readonly TraceEvent[]): readonly string[] {
  return events
    .filter(({ table, kind }) => !table.startsWith(TRACE_TABLE_PREFIX) && kind !== 'return')
    .map(({ family, table, chain, kind, verdict }) => {
      const what = kind === 'policy' ? `policy ${verdict}` : verdict;
      return `${family} ${table} ${chain} -> ${what}`;
    });
}
