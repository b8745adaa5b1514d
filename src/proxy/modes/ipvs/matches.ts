/** Matches that several chains use. */
import type { IPFamily } from '../../../net/ip.ts';
import { type SetRoleName, setName } from './sets.ts';

export const FROM_NODE = '-m addrtype --src-type LOCAL';

/** `fields`: which part of the packet each part of an entry is compared with, as `dst,dst`. */
export function inSet(role: SetRoleName, family: IPFamily, fields: string): string {
  return `-m set --match-set ${setName(role, family)} ${fields}`;
}

export function notInSet(role: SetRoleName, family: IPFamily, fields: string): string {
  return `-m set ! --match-set ${setName(role, family)} ${fields}`;
}
