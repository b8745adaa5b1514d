import type { ListedPod } from '../debug/lists/values.ts';
import { byName } from './by-name.ts';
import { MOST_PODS, type UiPod } from './snapshot.ts';

/** Pods of this node, by name, as `weft pods` tells them; of one name the latest sandbox. */
export function podsOf(pods: readonly ListedPod[]): readonly UiPod[] {
  const byKey = new Map<string, ListedPod>();
  for (const pod of pods) if (!byKey.has(keyOf(pod))) byKey.set(keyOf(pod), pod);
  return [...byKey]
    .map(([key, { interfaces }]) => {
      const own = interfaces.find(({ bridge }) => bridge !== undefined);
      return {
        key,
        addresses: interfaces.flatMap(({ addresses }) => addresses),
        ...(own === undefined ? {} : { veth: own.hostInterface }),
        ...(own?.bridge === undefined ? {} : { bridge: own.bridge }),
      };
    })
    .toSorted((a, b) => byName(a.key, b.key))
    .slice(0, MOST_PODS);
}

/** A runtime that does not tell whose interface it is has a container's name all the same. */
function keyOf({ namespace, name, container }: ListedPod): string {
  return name === '' ? `container/${container.slice(0, 12)}` : `${namespace}/${name}`;
}
