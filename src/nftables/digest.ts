/** Which definition a table was made from, as a mark in the table's comment. */
import { sha256 } from '../util/sha256.ts';
import { encodeChain, encodeRule, encodeSet } from './encode-objects.ts';
import type { Table, TableDefinition } from './model.ts';
import { fitComment } from './userdata.ts';

const DIGEST_CHARACTERS = 8;
/** Of the 127 bytes that a comment can have. */
const MOST_COMMENT_BYTES = 127 - DIGEST_CHARACTERS - 1;

/**
 * Digest of the sets, chains and rules as they are sent, so that a release which encodes the same
 * definition differently also gets a new one. Eight hexadecimal characters.
 */
export function definitionDigest({ table, sets, chains }: TableDefinition): string {
  const sent = [
    ...sets.map((set) => encodeSet(table, set, 0)),
    ...chains.flatMap((chain) => [
      encodeChain(table, chain),
      ...chain.rules.map((rule) => encodeRule(table, chain.name, rule)),
    ]),
  ];
  return sha256(Buffer.concat(sent)).toString('hex').slice(0, DIGEST_CHARACTERS);
}

/** The table with the digest behind its comment, or behind its name: `weft-proxy 1f3a9c02`. */
export function markedTable(definition: TableDefinition): Table {
  const { table } = definition;
  const comment = fitComment(table.comment ?? table.name, MOST_COMMENT_BYTES);
  return { ...table, comment: `${comment} ${definitionDigest(definition)}` };
}
