/** Whether sets and hooks in the kernel are those that are declared. */
import type { ObservedSet } from './decode.ts';
import { packedType, setFlags } from './encode-objects.ts';
import type { BaseChain, NamedSet } from './model.ts';
import { keyLength } from './registers.ts';

/** What can be read back of a set: flags, types and counters, but not its size or comment. */
export function isSameSet(defined: NamedSet, observed: ObservedSet): boolean {
  return (
    setFlags(defined) === observed.flags &&
    packedType(defined.key) === observed.keyType &&
    keyLength(defined.key) === observed.keyBytes &&
    isSameData(defined.data, observed.data) &&
    (defined.hasCounters ?? false) === observed.hasCounters
  );
}

/** Both undefined for a regular chain. */
export function isSameBase(
  defined: BaseChain | undefined,
  observed: BaseChain | undefined,
): boolean {
  if (defined === undefined || observed === undefined) return defined === observed;
  return (
    defined.type === observed.type &&
    defined.hook === observed.hook &&
    defined.priority === observed.priority &&
    (defined.policy ?? 'accept') === observed.policy
  );
}

function isSameData(defined: NamedSet['data'], observed: ObservedSet['data']): boolean {
  if (typeof defined !== 'object' || typeof observed !== 'object') return defined === observed;
  return packedType(defined) === observed.type && keyLength(defined) === observed.bytes;
}
