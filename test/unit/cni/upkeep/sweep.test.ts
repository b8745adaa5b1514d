import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Attachment, attachmentLabel } from '../../../../src/cni/attachment.ts';
import { decideSweep } from '../../../../src/cni/upkeep/sweep.ts';
import type {
  RecordFacts,
  StoredReservation,
  SweepFacts,
} from '../../../../src/cni/upkeep/sweep-model.ts';
import { type IP, parseIP } from '../../../../src/net/ip.ts';
import { recordOf } from './builders.ts';

const nowMs = 1_700_000_000_000;
const gracePeriodMs = 300_000;
const bootedAtMs = nowMs - 3_600_000;
const old = nowMs - 600_000;
const young = nowMs - 1_000;
const beforeBoot = bootedAtMs - 60_000;

const nobody: SweepFacts = {
  masquerades: [],
  guardedPorts: [],
  hostPorts: [],
  links: [],
  records: [],
  reservations: [],
  unfinished: [],
  usedAddresses: new Set(),
  bootId: 'boot',
  bootedAtMs,
  nowMs,
  gracePeriodMs,
};

const pod = (containerId = 'a'): Attachment => ({ network: 'net', containerId, ifName: 'eth0' });

function recorded(change: {
  id?: string;
  at?: number;
  bootId?: string;
  path?: boolean;
  link?: boolean;
}): RecordFacts {
  const { id = 'a', at = old, bootId = 'boot', path = false, link = false } = change;
  const record = { ...recordOf(pod(id)), createdAtMs: at, bootId };
  return { record, isNetnsAtPath: path, hasLink: link };
}

function reserved(change: Partial<StoredReservation> = {}): StoredReservation {
  return {
    dataDir: '/networks',
    network: 'net',
    address: parseIP('10.0.0.2'),
    containerId: 'a',
    ifName: 'eth0',
    writtenAtMs: old,
    ...change,
  };
}

const unfinished = (at: number) => [{ attachment: pod(), begunAtMs: at }];
const sandboxes = (ready: string[], notReady: string[] = []) => ({
  ready: new Set(ready),
  known: new Set([...ready, ...notReady]),
});
const used = (...addresses: string[]): ReadonlySet<IP> => new Set(addresses.map(parseIP));
const element = { address: parseIP('10.0.0.2'), label: 'net/a/eth0' };
const guard = { port: 'vetha', label: 'net/a/eth0' };
const published = { attachment: pod(), targets: [parseIP('10.0.0.2')], isNetnsGone: false };

/** `kind reason` of each removal, `suspected` for each that is. */
function outcome(facts: Partial<SweepFacts>): string[] {
  const { removals, suspected } = decideSweep({ ...nobody, ...facts });
  return [
    ...removals.map(({ kind, reason }) => `${kind} ${reason}`),
    ...suspected.map(() => 'suspected'),
  ].sort();
}

interface Row {
  readonly name: string;
  readonly facts: Partial<SweepFacts>;
  readonly want: readonly string[];
}

/** Of addresses that another plugin asked for: without a plan. */
function leased(change: Parameters<typeof recorded>[0]): RecordFacts {
  const { record, ...facts } = recorded(change);
  const { plan: _, ...lease } = record;
  return { ...facts, record: lease };
}

describe('addresses that another plugin asked for', () => {
  const reservations = [reserved()];
  test.each<Row>([
    {
      name: 'its namespace is there',
      facts: { records: [leased({ path: true })], reservations },
      want: [],
    },
    {
      name: 'its namespace is gone, and the addresses are nowhere',
      facts: { records: [leased({})], reservations },
      want: ['attachment namespace'],
    },
    {
      name: 'its namespace is gone, but an address is somewhere',
      facts: { records: [leased({})], reservations, usedAddresses: used('10.0.0.2') },
      want: [],
    },
    { name: 'young', facts: { records: [leased({ at: young })], reservations }, want: [] },
    {
      name: 'the runtime has it ready',
      facts: { records: [leased({})], reservations, sandboxes: sandboxes(['a']) },
      want: [],
    },
    {
      name: 'the runtime does not know it, and the addresses are nowhere',
      facts: { records: [leased({ path: true })], reservations, sandboxes: sandboxes([]) },
      want: ['attachment runtime'],
    },
    {
      name: 'the runtime does not know it, but an address is somewhere',
      facts: {
        records: [leased({ path: true })],
        reservations,
        sandboxes: sandboxes([]),
        usedAddresses: used('10.0.0.2'),
      },
      want: [],
    },
  ])('$name', ({ facts, want }) => {
    expect(outcome(facts)).toEqual(want);
  });

  test.each([
    { path: true, looks: false },
    { path: false, looks: true },
  ])('the addresses are looked for when it is in doubt: $looks', ({ path, looks }) => {
    const { usedAddresses: _, ...unseen } = nobody;
    const facts = { ...unseen, records: [leased({ path })], reservations };
    expect(decideSweep(facts)).toMatchObject({ removals: [], needsAddresses: looks });
  });
});

describe('recorded attachments', () => {
  test.each<Row>([
    { name: 'nothing at all', facts: {}, want: [] },
    {
      name: 'its namespace is at its path',
      facts: { records: [recorded({ path: true })], reservations: [reserved()] },
      want: [],
    },
    {
      name: 'its link is there',
      facts: { records: [recorded({ link: true })], reservations: [reserved()] },
      want: [],
    },
    {
      name: 'neither: dead, and its reservation goes with it',
      facts: { records: [recorded({})], reservations: [reserved()] },
      want: ['attachment namespace'],
    },
    {
      name: 'neither, but the runtime has it ready',
      facts: { records: [recorded({})], sandboxes: sandboxes(['a']) },
      want: [],
    },
    {
      name: 'neither, and the runtime has it not ready',
      facts: { records: [recorded({})], sandboxes: sandboxes([], ['a']) },
      want: ['attachment namespace'],
    },
    {
      name: 'its link is there though the runtime does not know it',
      facts: { records: [recorded({ link: true })], sandboxes: sandboxes([]) },
      want: [],
    },
    { name: 'neither, but young', facts: { records: [recorded({ at: young })] }, want: [] },
    {
      name: 'just past the grace period',
      facts: { records: [recorded({ at: nowMs - gracePeriodMs })] },
      want: ['attachment namespace'],
    },
    {
      name: 'of another boot, however young',
      facts: { records: [recorded({ bootId: 'former', at: young })], reservations: [reserved()] },
      want: ['attachment boot'],
    },
    {
      name: 'of another boot, but the runtime has it ready',
      facts: { records: [recorded({ bootId: 'former' })], sandboxes: sandboxes(['a']) },
      want: [],
    },
    {
      name: 'one dead, one alive',
      facts: {
        records: [recorded({}), recorded({ id: 'b', link: true })],
        reservations: [reserved(), reserved({ containerId: 'b', address: parseIP('10.0.0.3') })],
      },
      want: ['attachment namespace'],
    },
    {
      name: 'a reservation of one line goes with its container',
      facts: { records: [recorded({})], reservations: [reserved({ ifName: undefined })] },
      want: ['attachment namespace'],
    },
    {
      name: 'and stays with it',
      facts: {
        records: [recorded({ link: true })],
        reservations: [reserved({ ifName: undefined })],
      },
      want: [],
    },
    {
      name: 'the same container on another network says nothing',
      facts: {
        records: [recorded({ link: true })],
        reservations: [reserved({ network: 'other', writtenAtMs: beforeBoot })],
      },
      want: ['reservation boot'],
    },
  ])('$name', ({ facts, want }) => {
    expect(outcome(facts)).toEqual(want);
  });
});

describe('ADDs that did not end', () => {
  test.each<Row>([
    {
      name: 'young: in progress',
      facts: {
        unfinished: unfinished(young),
        reservations: [reserved({ writtenAtMs: beforeBoot })],
      },
      want: [],
    },
    {
      name: 'old: killed, with what it reserved',
      facts: { unfinished: unfinished(old), reservations: [reserved()] },
      want: ['attachment killed'],
    },
    {
      name: 'old, although link and namespace are there',
      facts: { unfinished: unfinished(old), records: [recorded({ link: true, path: true })] },
      want: ['attachment killed'],
    },
    {
      name: 'old, but the runtime says it is ready',
      facts: { unfinished: unfinished(old), sandboxes: sandboxes(['a']) },
      want: [],
    },
    {
      name: 'young, over the record of a dead one',
      facts: { unfinished: unfinished(young), records: [recorded({})] },
      want: [],
    },
  ])('$name', ({ facts, want }) => {
    expect(outcome(facts)).toEqual(want);
  });
});

describe('reservations without a record', () => {
  test.each<Row>([
    { name: 'young', facts: { reservations: [reserved({ writtenAtMs: young })] }, want: [] },
    { name: 'old, nobody asked', facts: { reservations: [reserved()] }, want: ['suspected'] },
    {
      name: 'old, in use',
      facts: { reservations: [reserved()], usedAddresses: used('10.0.0.2') },
      want: [],
    },
    {
      name: 'from before the boot',
      facts: { reservations: [reserved({ writtenAtMs: beforeBoot })] },
      want: ['reservation boot'],
    },
    {
      name: 'from before the boot by the clock, in use',
      facts: {
        reservations: [reserved({ writtenAtMs: beforeBoot })],
        usedAddresses: used('10.0.0.2'),
      },
      want: [],
    },
    {
      name: 'from before the boot, ready by the runtime',
      facts: {
        reservations: [reserved({ writtenAtMs: beforeBoot })],
        sandboxes: sandboxes(['a']),
      },
      want: [],
    },
    {
      name: 'from before the boot, known to the runtime as not ready',
      facts: {
        reservations: [reserved({ writtenAtMs: beforeBoot })],
        sandboxes: sandboxes([], ['a']),
      },
      want: ['reservation boot'],
    },
    {
      name: 'unknown to the runtime',
      facts: { reservations: [reserved()], sandboxes: sandboxes(['b']) },
      want: ['reservation runtime'],
    },
    {
      name: 'unknown to the runtime, but in use',
      facts: {
        reservations: [reserved()],
        sandboxes: sandboxes([]),
        usedAddresses: used('10.0.0.2'),
      },
      want: [],
    },
    {
      name: 'unknown to the runtime, but young',
      facts: { reservations: [reserved({ writtenAtMs: young })], sandboxes: sandboxes([]) },
      want: [],
    },
    {
      name: 'known to the runtime as not ready',
      facts: { reservations: [reserved()], sandboxes: sandboxes([], ['a']) },
      want: ['suspected'],
    },
  ])('$name', ({ facts, want }) => {
    expect(outcome(facts)).toEqual(want);
  });

  test.each([
    { name: 'old', reservations: [reserved()] },
    { name: 'from before the boot', reservations: [reserved({ writtenAtMs: beforeBoot })] },
  ])('$name, before anybody looked for the address', ({ reservations }) => {
    const { usedAddresses: _, ...facts } = { ...nobody, reservations, sandboxes: sandboxes([]) };
    const decision = decideSweep(facts);
    expect(decision).toMatchObject({ removals: [], needsAddresses: true });
  });

  test('addresses are not looked for while nothing depends on them', () => {
    const { usedAddresses: _, ...facts } = {
      ...nobody,
      records: [recorded({ link: true })],
      reservations: [reserved()],
    };
    expect(decideSweep(facts).needsAddresses).toBe(false);
  });
});

describe('elements', () => {
  test.each<Row>([
    { name: "nobody's", facts: { masquerades: [element] }, want: ['masquerade orphan'] },
    {
      name: "a living record's",
      facts: { masquerades: [element], records: [recorded({ link: true })] },
      want: [],
    },
    {
      name: "a dead record's: goes with it",
      facts: { masquerades: [element], records: [recorded({})] },
      want: ['attachment namespace'],
    },
    {
      name: 'of an address that is reserved',
      facts: { masquerades: [element], reservations: [reserved({ containerId: 'b' })] },
      want: ['suspected'],
    },
    {
      name: 'of an ADD in progress',
      facts: { masquerades: [element], unfinished: unfinished(young) },
      want: [],
    },
    {
      name: 'with the label of a link, of a release without records',
      facts: { masquerades: [element], links: [{ name: 'vetha', alias: 'net/a/eth0' }] },
      want: [],
    },
    { name: "guard: nobody's", facts: { guardedPorts: [guard] }, want: ['guardedPort orphan'] },
    {
      name: 'guard: its port is there',
      facts: { guardedPorts: [guard], links: [{ name: 'vetha', alias: undefined }] },
      want: [],
    },
    {
      name: 'guard: of an ADD in progress',
      facts: { guardedPorts: [guard], unfinished: unfinished(young) },
      want: [],
    },
  ])('$name', ({ facts, want }) => {
    expect(outcome(facts)).toEqual(want);
  });
});

describe('host ports of pods that another plugin made', () => {
  test.each<Row>([
    { name: 'nobody asked', facts: { hostPorts: [published] }, want: [] },
    {
      name: 'unknown to the runtime',
      facts: { hostPorts: [published], sandboxes: sandboxes([]) },
      want: ['hostPorts runtime'],
    },
    {
      name: 'whose namespace is gone',
      facts: { hostPorts: [{ ...published, isNetnsGone: true }] },
      want: ['hostPorts namespace'],
    },
    {
      name: 'whose namespace is gone from its path, address in use',
      facts: {
        hostPorts: [{ ...published, isNetnsGone: true }],
        usedAddresses: used('10.0.0.2'),
      },
      want: [],
    },
    {
      name: 'whose namespace is gone from its path, known to the runtime as ready',
      facts: { hostPorts: [{ ...published, isNetnsGone: true }], sandboxes: sandboxes(['a']) },
      want: [],
    },
    {
      name: 'unknown to the runtime, address in use',
      facts: {
        hostPorts: [published],
        sandboxes: sandboxes([]),
        usedAddresses: used('10.0.0.2'),
      },
      want: [],
    },
    {
      name: 'known to the runtime',
      facts: { hostPorts: [published], sandboxes: sandboxes([], ['a']) },
      want: [],
    },
    {
      name: 'of a recorded attachment that lives',
      facts: {
        hostPorts: [published],
        records: [recorded({ link: true })],
        sandboxes: sandboxes([]),
      },
      want: [],
    },
    {
      name: 'of a container that holds an address',
      facts: {
        hostPorts: [published],
        reservations: [reserved({ ifName: 'eth1', writtenAtMs: young })],
        sandboxes: sandboxes([]),
      },
      want: [],
    },
  ])('$name', ({ facts, want }) => {
    expect(outcome(facts)).toEqual(want);
  });
});

test('whatever has its link, is ready or young is never removed', () => {
  const ids = ['a', 'b', 'c', 'd'];
  const anyRecord = fc.record({
    id: fc.constantFrom(...ids),
    at: fc.constantFrom(young, old),
    path: fc.boolean(),
    link: fc.boolean(),
  });
  const anyReservation = fc.record({
    containerId: fc.constantFrom(...ids),
    ifName: fc.constantFrom('eth0', 'eth1', undefined),
    address: fc.constantFrom('10.0.0.2', '10.0.0.3').map(parseIP),
    writtenAtMs: fc.constantFrom(young, old, beforeBoot),
  });
  const anyFacts = fc.record({
    records: fc.uniqueArray(anyRecord, { selector: ({ id }) => id }),
    reservations: fc.array(anyReservation),
    ready: fc.subarray(ids),
    isUsed: fc.boolean(),
  });
  fc.assert(
    fc.property(anyFacts, ({ records, reservations, ready, isUsed }) => {
      const facts: SweepFacts = {
        ...nobody,
        records: records.map(recorded),
        reservations: reservations.map(reserved),
        masquerades: records.map(({ id }) => ({
          address: parseIP('10.0.0.2'),
          label: attachmentLabel(pod(id)),
        })),
        sandboxes: sandboxes(ready),
        usedAddresses: isUsed ? used('10.0.0.2', '10.0.0.3') : used(),
      };
      const living = new Set([
        ...ready,
        ...records.filter(({ at, link }) => link || at === young).map(({ id }) => id),
      ]);
      for (const removal of decideSweep(facts).removals) {
        if (removal.kind === 'attachment') {
          expect(living).not.toContain(removal.attachment.containerId);
        }
        if (removal.kind === 'reservation') {
          const { containerId, writtenAtMs } = removal.reservation;
          expect(ready).not.toContain(containerId);
          expect(isUsed || writtenAtMs === young).toBe(false);
        }
      }
    }),
  );
});
