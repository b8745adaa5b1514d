/** The content of a table of the Service proxy, so that it compares whatever its history. */
import { readU32Bytes } from '../../src/nftables/bytes.ts';
import type { FakeKernel } from './fake-table.ts';

/** Elements as text by set, and chains by name. Slots and affinity's numbers are up to history. */
export function tableContent(kernel: FakeKernel) {
  const owners = affinityOwners(kernel);
  const sets = new Map<string, readonly string[]>();
  for (const [set, elements] of kernel.sets) {
    const texts = [...elements.values()].map(({ key, keyEnd = '', data = '', comment = '' }) => {
      const place = keyOf(set, key, owners);
      const isId = set.startsWith('affinity-');
      return [place, keyEnd, isId ? owners.get(readU32Bytes(data, 4)) : data, comment].join(' ');
    });
    sets.set(set, texts.sort());
  }
  const chains = new Map([...kernel.chains].sort(([a], [b]) => (a < b ? -1 : 1)));
  return { sets, chains };
}

function keyOf(set: string, key: string, owners: ReadonlyMap<number, string>): string {
  // Slots, but for those of hashes, are in no order: how often an endpoint is there is what counts.
  if (set.endsWith('endpoints') && !set.startsWith('affine')) return key.slice(0, -4);
  if (set.startsWith('affine-')) return `${owners.get(readU32Bytes(key, 0))} ${key.slice(4)}`;
  return key;
}

/** The ServicePort behind each number, by the comment of the verdict with the same key. */
function affinityOwners(kernel: FakeKernel): ReadonlyMap<number, string> {
  const owners = new Map<number, string>();
  for (const [ids, verdicts, refusals] of [
    ['affinity-ids', 'service-ips', 'no-endpoint-services'],
    ['affinity-nodeport-ids', 'service-nodeports', 'no-endpoint-nodeports'],
  ] as const) {
    for (const { key, data = '' } of kernel.sets.get(ids)?.values() ?? []) {
      const named = kernel.sets.get(verdicts)?.get(key) ?? kernel.sets.get(refusals)?.get(key);
      const id = readU32Bytes(data, 4);
      const owner = named?.comment ?? 'nobody';
      const known = owners.get(id);
      if (known !== undefined && known !== owner) throw new Error(`number ${id}: two owners`);
      owners.set(id, owner);
    }
  }
  return owners;
}
