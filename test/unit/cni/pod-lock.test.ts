import { beforeEach, expect, test } from 'vitest';
import type { DelCall } from '../../../src/cni/plugin.ts';
import { claimForDel } from '../../../src/cni/pod-lock.ts';
import type { Netns } from '../../../src/kernel/types.ts';
import { BusyError, WeftError } from '../../../src/util/errors.ts';
import { FakeNode } from './fake-node.ts';
import { recordOf } from './upkeep/builders.ts';

const attachment = { network: 'net', containerId: 'a', ifName: 'eth0' };
const { bootId: _boot, createdAtMs: _at, ...entry } = recordOf(attachment);

let node: FakeNode;
/** What happened to namespaces, in order. */
let steps: string[];
/** Ids of what is at a path. */
let there: Record<string, string>;

beforeEach(() => {
  node = new FakeNode();
  steps = [];
  there = { '/run/netns/a': '4:1', '/run/netns/b': '4:2' };
  const open = (path: string): Netns => {
    const id = there[path];
    if (id === undefined) throw new WeftError('NETNS', `nothing at ${path}`);
    return named(id);
  };
  Object.assign(node.kernel.netnses, { open });
  Object.assign(node.kernel, {
    claimNetns: ({ id }: Netns) => {
      steps.push(`claim ${id}`);
      return () => void steps.push(`end ${id}`);
    },
  });
});

function named(id: string): Netns {
  return { fd: 7, id, close: () => void steps.push(`close ${id}`) };
}

/** A claim that was had and ended. */
function claimAndEnd(netns?: Netns, claimed = new Set<string>()): string {
  // The claim reads nothing of the request.
  const call = { node, attachment, netns } as unknown as DelCall;
  const claim = claimForDel(call, claimed);
  claim.end();
  return claim.note;
}

const journalSays = (path: string, id: string) =>
  Object.assign(node.journal, { netnsOf: () => ({ path, id }) });
const recordSays = (path: string, id: string) =>
  node.records.write({ ...entry, netns: { path, id } });

test.each([
  {
    what: 'the namespace of the call, which its owner closes',
    netns: named('4:9'),
    prepare: () => journalSays('/run/netns/a', '4:1'),
    want: ['claim 4:9', 'end 4:9'],
  },
  {
    what: 'that of the ADD in the journal',
    prepare: () => journalSays('/run/netns/a', '4:1'),
    want: ['claim 4:1', 'end 4:1', 'close 4:1'],
  },
  {
    what: 'that of the record',
    prepare: () => recordSays('/run/netns/b', '4:2'),
    want: ['claim 4:2', 'end 4:2', 'close 4:2'],
  },
  {
    what: 'none where another has the path by now',
    prepare: () => journalSays('/run/netns/b', '4:1'),
    want: ['close 4:2'],
  },
  {
    what: 'none where nothing is',
    prepare: () => journalSays('/run/netns/c', '4:1'),
    want: [],
  },
  { what: 'none when nobody knows of any', prepare: () => undefined, want: [] },
])('a DEL claims $what', ({ netns, prepare, want }) => {
  prepare();
  expect(claimAndEnd(netns)).toBe('');
  expect(steps).toEqual(want);
});

test('one that the batch has already is not claimed again, and closed', () => {
  journalSays('/run/netns/a', '4:1');
  expect(claimAndEnd(undefined, new Set(['4:1']))).toBe('');
  expect(steps).toEqual(['close 4:1']);
});

test.each([new BusyError('another process has been adding'), new Error('no locks available')])(
  '%s: the DEL goes on with a note, and nothing stays open',
  (error) => {
    journalSays('/run/netns/a', '4:1');
    Object.assign(node.kernel, {
      claimNetns: () => {
        throw error;
      },
    });
    expect(claimAndEnd()).toBe(`weft: DEL does not wait: ${error.message}\n`);
    expect(steps).toEqual(['close 4:1']);
  },
);
