import type { IPFamily } from '../../../net/ip.ts';
import { u32Bytes } from '../../../nftables/bytes.ts';
import type { Element } from '../../../nftables/model.ts';
import { frontendElements, keyedSets } from './elements.ts';
import type { Fragment, FrontendState } from './fragment.ts';
import type { SetName } from './sets.ts';
import { type Scope, slotSet } from './slot-chains.ts';

const SCOPES: readonly Scope[] = ['everybody', 'outside'];
const SHARED: ReadonlySet<string> = new Set([
  ...['cluster-ips', 'hairpins', 'affine-endpoints', 'affine-local-endpoints'],
]);

/**
 * What a set holds of these ServicePorts, one element after the other. `undefined` stands for a
 * ServicePort that has none: who goes by turns can stop there as well.
 */
export function* expectedElements(
  family: IPFamily,
  set: SetName,
  fragments: Iterable<Fragment>,
): Iterable<Element | undefined> {
  const seen = new Set<string>();
  for (const { frontends, shared } of fragments) {
    yield undefined;
    if (!SHARED.has(set)) {
      for (const frontend of frontends) yield* elementsOf(family, set, frontend);
      continue;
    }
    for (const { set: sharedSet, key } of shared) {
      if (sharedSet !== set || seen.has(key)) continue;
      seen.add(key);
      yield { key };
    }
  }
}

function* elementsOf(family: IPFamily, set: SetName, frontend: FrontendState): Iterable<Element> {
  const { kind, key } = frontend;
  const scope = SCOPES.find((each) => slotSet(kind, each) === set);
  if (scope !== undefined) {
    for (const [slot, data] of (frontend[scope]?.slots ?? []).entries()) {
      yield { key: key + u32Bytes(slot), data };
    }
    return;
  }
  if (set !== 'source-ranges' && !keyedSets(kind).includes(set)) return;
  for (const placed of frontendElements(family, frontend)) {
    if (placed.set === set) yield placed.element;
  }
}
