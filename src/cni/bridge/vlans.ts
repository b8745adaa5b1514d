/** `vlan` and `vlanTrunk`: which VLANs the port of a pod is a member of. */
import type { PortVlanRange } from '../../kernel/types.ts';
import { ConfigError } from '../../util/errors.ts';

/** One entry of `vlanTrunk`: a range, a number, or both. */
export interface TrunkEntry {
  readonly minID?: number;
  readonly maxID?: number;
  readonly id?: number;
}

const MAX_VLAN = 4094;

/** VLAN of a trunk's untagged frames when `vlan` names none. */
const NATIVE_VLAN = 1;

/** Checks `vlan`; 0 is none. Throws ConfigError with the reference plugin's words. */
export function parseVlan(vlan: number | undefined): number | undefined {
  if (vlan === undefined || vlan === 0) return undefined;
  if (vlan > 0 && vlan <= MAX_VLAN) return vlan;
  throw new ConfigError('vlan', `invalid VLAN ID ${vlan} (must be between 0 and ${MAX_VLAN})`);
}

/**
 * All numbers of a trunk as ranges, ascending, without overlap. Throws ConfigError with the words
 * of the reference plugin's collectVlanTrunk.
 */
export function parseVlanTrunk(trunk: readonly TrunkEntry[]): readonly PortVlanRange[] {
  const numbers = new Set(trunk.flatMap(numbersOf));
  return rangesOf([...numbers].sort((a, b) => a - b));
}

/**
 * Membership of a port: untagged in `vlan`, tagged in the trunk's. A trunk without `vlan` has
 * VLAN 1 for untagged frames. None at all leaves the port in the bridge's default VLAN.
 */
export function portVlansOf(
  vlan: number | undefined,
  trunk: readonly PortVlanRange[],
): readonly PortVlanRange[] {
  if (vlan === undefined && trunk.length === 0) return [];
  const native = vlan ?? NATIVE_VLAN;
  const tagged = trunk.flatMap((range) => without(range, native));
  return [{ vid: native, isPvid: true, isUntagged: true }, ...tagged];
}

function numbersOf({ minID, maxID, id }: TrunkEntry): readonly number[] {
  const numbers = minID === undefined && maxID === undefined ? [] : rangeOf(minID, maxID);
  if (id === undefined) return numbers;
  return [...numbers, requireVlan(id, 'id')];
}

function rangeOf(minID: number | undefined, maxID: number | undefined): readonly number[] {
  if (minID === undefined || maxID === undefined) {
    const missing = minID === undefined ? 'minID' : 'maxID';
    throw invalid(`minID and maxID should be configured simultaneously, ${missing} is missing`);
  }
  const first = requireVlan(minID, 'minID');
  const last = requireVlan(maxID, 'maxID');
  if (last < first) throw invalid('minID is greater than maxID in trunk parameter');
  return Array.from({ length: last - first + 1 }, (_, offset) => first + offset);
}

function requireVlan(vlan: number, parameter: string): number {
  if (vlan > 0 && vlan <= MAX_VLAN) return vlan;
  throw invalid(`incorrect trunk ${parameter} parameter`);
}

function rangesOf(ascending: readonly number[]): readonly PortVlanRange[] {
  const ranges: { vid: number; lastVid: number }[] = [];
  for (const vid of ascending) {
    const last = ranges.at(-1);
    if (last?.lastVid === vid - 1) last.lastVid = vid;
    else ranges.push({ vid, lastVid: vid });
  }
  return ranges;
}

function without(range: PortVlanRange, vid: number): readonly PortVlanRange[] {
  const { vid: first, lastVid: last = first } = range;
  if (vid < first || vid > last) return [range];
  return [
    { vid: first, lastVid: vid - 1 },
    { vid: vid + 1, lastVid: last },
  ].filter((part) => part.vid <= part.lastVid);
}

function invalid(reason: string): ConfigError {
  return new ConfigError('vlanTrunk', `failed to parse vlan trunks: ${reason}`);
}
