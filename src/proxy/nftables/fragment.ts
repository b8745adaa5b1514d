/** What one ServicePort has in the table: plain values, compact because there are many. */
import { ipBytes, portBytes, protocolBytes } from '../../nftables/bytes.ts';
import type { Frontend } from '../claims.ts';
import type { Endpoint } from '../endpoints.ts';
import type { ResolvedPort } from '../state.ts';
import { REJECT_VERDICT, type SetName, slotChainName } from './layout.ts';

export type FrontendKind = 'address' | 'nodePort';

/** The elements of one frontend. */
export interface FrontendElements {
  readonly kind: FrontendKind;
  /** Register bytes: `address . protocol . port`, or `protocol . port` for a NodePort. */
  readonly key: string;
  /** Register bytes `address . port` of the endpoint in each slot; empty without endpoints. */
  readonly slots: readonly string[];
  /** What the no-endpoint map says; undefined while there are endpoints. */
  readonly refusal: string | undefined;
  /** Shown beside the verdict: `namespace/name:port`. */
  readonly comment: string;
}

/** An element that several ServicePorts may need, counted by the renderer. */
export interface SharedElement {
  readonly set: Extract<SetName, 'cluster-ips' | 'hairpins' | 'masqueraded-nodeports'>;
  readonly key: string;
}

export interface Fragment {
  readonly frontends: readonly FrontendElements[];
  readonly shared: readonly SharedElement[];
}

/** The four sets that hold the frontends of one kind. */
export const FRONTEND_SETS = {
  address: {
    verdicts: 'service-ips',
    slots: 'endpoints',
    refusals: 'no-endpoint-services',
  },
  nodePort: {
    verdicts: 'service-nodeports',
    slots: 'nodeport-endpoints',
    refusals: 'no-endpoint-nodeports',
  },
} as const satisfies Record<FrontendKind, Record<string, SetName>>;

/**
 * The fragment of a ServicePort. `previousSlots` gives the slots a frontend (`kind`, key) has now,
 * so that endpoints stay in their slots.
 */
export function buildFragment(
  resolved: ResolvedPort,
  previousSlots: (kind: FrontendKind, key: string) => readonly string[],
): Fragment {
  const { port, frontends, localEndpoints } = resolved;
  // Frontends with the same endpoints share one array of slots.
  const pools = new Map<readonly Endpoint[], readonly string[]>();
  const elements = frontends.map(({ frontend, endpoints, whenEmpty }): FrontendElements => {
    const kind = kindOf(frontend);
    const key = registerKey(frontend);
    const slots =
      pools.get(endpoints) ?? assignSlots(previousSlots(kind, key), endpoints.map(targetBytes));
    pools.set(endpoints, slots);
    const refusal = whenEmpty === 'drop' ? 'drop' : REJECT_VERDICT;
    return {
      kind,
      key,
      slots,
      refusal: slots.length > 0 ? undefined : refusal,
      comment: port.name,
    };
  });
  const shared: SharedElement[] = [{ set: 'cluster-ips', key: ipBytes(port.clusterIP) }];
  for (const { kind, key } of elements) {
    if (kind === 'nodePort') shared.push({ set: 'masqueraded-nodeports', key });
  }
  for (const ip of new Set(localEndpoints.map(({ target }) => target.ip))) {
    shared.push({ set: 'hairpins', key: ipBytes(ip) + ipBytes(ip) });
  }
  return { frontends: elements, shared };
}

/** The verdict that sends connections of a frontend to its slots; undefined without endpoints. */
export function slotVerdict({ kind, slots }: FrontendElements): string | undefined {
  return slots.length === 0 ? undefined : `goto ${slotChainName(kind, slots.length)}`;
}

/**
 * Assigns `wanted` endpoints to the slots 0 to n - 1 with as few changes to `previous` as there can
 * be: who stays keeps its slot, newcomers take the slots of those who left, then the end of the
 * list fills what holes remain or the list grows.
 */
export function assignSlots(
  previous: readonly string[],
  wanted: readonly string[],
): readonly string[] {
  const missing = new Set(wanted);
  const slots: (string | undefined)[] = previous.map((slot) =>
    missing.delete(slot) ? slot : undefined,
  );
  const newcomers = [...missing];
  for (let i = 0; i < slots.length; i++) slots[i] ??= newcomers.shift();
  const filled: string[] = [];
  for (let i = 0; i < slots.length; i++) {
    while (slots.length > i && slots.at(-1) === undefined) slots.pop();
    if (i >= slots.length) break;
    const slot = slots[i] ?? slots.pop();
    if (slot !== undefined) filled.push(slot);
  }
  return [...filled, ...newcomers];
}

function kindOf(frontend: Frontend): FrontendKind {
  return frontend.kind === 'nodePort' ? 'nodePort' : 'address';
}

function registerKey(frontend: Frontend): string {
  const portKey = protocolBytes(frontend.protocol) + portBytes(frontend.port);
  return frontend.kind === 'nodePort' ? portKey : ipBytes(frontend.ip) + portKey;
}

function targetBytes({ target, port }: Endpoint): string {
  return ipBytes(target.ip) + portBytes(port);
}
