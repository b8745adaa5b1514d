import { readAttributes, readString } from '../netlink/attributes.ts';
import type { NetlinkReply } from '../netlink/message.ts';
import { ELEMENT_LIST, MSG, NFNL_SUBSYS_NFTABLES } from './constants.ts';
import { decodeFamily } from './decode.ts';
import { ElementReader } from './decode-elements.ts';
import type { NamedSet, ObservedElement, TableFamily } from './model.ts';

const FAMILY_HEADER_BYTES = 4;

/** Elements that were deleted, or replaced, with what their counters said in the end. */
export interface DeletedElements {
  readonly family: TableFamily;
  readonly table: string;
  readonly set: string;
  readonly elements: readonly ObservedElement[];
}

/**
 * Reads a message of NFNLGRP_NFTABLES; undefined when it is about something else than the deletion
 * of elements from a set that `setOf` knows.
 */
export function readDeletedElements(
  { type, payload }: NetlinkReply,
  setOf: (family: TableFamily, table: string, set: string) => NamedSet | undefined,
): DeletedElements | undefined {
  if (type !== ((NFNL_SUBSYS_NFTABLES << 8) | MSG.DELSETELEM)) return undefined;
  const family = decodeFamily(payload);
  const attributes = readAttributes(payload, FAMILY_HEADER_BYTES);
  const tableName = attributes.get(ELEMENT_LIST.TABLE);
  const setName = attributes.get(ELEMENT_LIST.SET);
  if (family === undefined || tableName === undefined || setName === undefined) return undefined;
  const [table, set] = [readString(tableName), readString(setName)];
  const definition = setOf(family, table, set);
  if (definition === undefined) return undefined;
  const reader = new ElementReader(definition);
  reader.read(payload);
  return { family, table, set, elements: reader.finish() };
}
