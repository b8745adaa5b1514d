/** What table `inet weft-policy` of a namespace says, whatever numbers its history gave to things. */
import type { IPFamily } from '../../src/net/ip.ts';
import { readU32Bytes } from '../../src/nftables/bytes.ts';
import type { NftablesConnection } from '../../src/nftables/connection.ts';
import type { Element, NamedSet } from '../../src/nftables/model.ts';
import { POLICY_TABLE } from '../../src/policy/table/definition.ts';
import {
  CLASSES,
  DEFAULTS,
  DIRECTIONS,
  FAMILIES,
  ROLES,
  SETS,
  VERDICTS,
} from '../../src/policy/table/sets.ts';

type Direction = (typeof DIRECTIONS)[number];

export interface PolicyTableContent {
  /** Elements of each set. */
  readonly sizes: Readonly<Record<string, number>>;
  /** For each subject and peer all classes of ports with their verdicts, and the classes. */
  readonly answers: ReadonlyMap<string, string>;
}

const NUMBER_BYTES = 4;

export function readPolicyContent(connection: NftablesConnection): PolicyTableContent {
  const read = (set: NamedSet) => connection.elements(POLICY_TABLE, set);
  const sets = [
    ...FAMILIES.flatMap((family) => {
      const { subjects, ...others } = SETS[family];
      return [...Object.values(subjects), ...Object.values(others)];
    }),
    ...[...Object.values(ROLES), ...Object.values(DEFAULTS), CLASSES, VERDICTS],
  ];
  const roles = rolesByNumber(read(VERDICTS));
  const answers = FAMILIES.flatMap((family) =>
    DIRECTIONS.flatMap((direction) => answersOf(read, roles, family, direction)),
  );
  return {
    sizes: Object.fromEntries(sets.map((set) => [set.name, read(set).length])),
    answers: new Map([...answers, ...classesOf(read(CLASSES))]),
  };
}

/** What each role says, as one text. */
function rolesByNumber(verdicts: readonly Element[]): ReadonlyMap<number, string> {
  const byRole = Map.groupBy(verdicts, ({ key }) => readU32Bytes(key, 0));
  return new Map(
    [...byRole].map(([role, elements]) => {
      const texts = elements.map(({ key, data }) => `${hex(key.slice(NUMBER_BYTES))} ${data}`);
      return [role, texts.sort().join(', ')];
    }),
  );
}

function classesOf(classes: readonly Element[]): readonly (readonly [string, string])[] {
  return classes.map(({ key, keyEnd = key, data = '' }) => {
    return [`ports ${hex(key)}-${hex(keyEnd)}`, hex(data)] as const;
  });
}

function answersOf(
  read: (set: NamedSet) => readonly Element[],
  roles: ReadonlyMap<number, string>,
  family: IPFamily,
  direction: Direction,
): readonly (readonly [string, string])[] {
  const { subjects, identities, blocks } = SETS[family];
  const exact = numbersByKey(read(identities));
  const ranges = read(blocks);
  const byPair = numbersByKey(read(ROLES[direction]));
  const defaults = numbersByKey(read(DEFAULTS[direction]));
  const peers = [...exact.keys(), ...ranges.map(({ key }) => key), undefined];
  return read(subjects[direction]).flatMap(({ key: subject, data: set = '' }) =>
    peers.map((peer) => {
      const candidates = peer === undefined ? [] : [exact.get(peer), rangeOf(ranges, peer)];
      const role =
        candidates
          .map((number = '') => byPair.get(set + number))
          .find((each) => each !== undefined) ?? defaults.get(set);
      const answer = role === undefined ? 'denied' : roles.get(readU32Bytes(role, 0));
      const name = peer === undefined ? 'anybody' : hex(peer);
      return [`${direction} ${hex(subject)} ${name}`, answer ?? 'denied'] as const;
    }),
  );
}

function numbersByKey(elements: readonly Element[]): ReadonlyMap<string, string> {
  return new Map(elements.map(({ key, data = '' }) => [key, data]));
}

function rangeOf(ranges: readonly Element[], peer: string): string | undefined {
  return ranges.find(({ key, keyEnd = key }) => key <= peer && peer <= keyEnd)?.data;
}

function hex(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString('hex');
}
