import { expect, test } from 'vitest';
import { type Fact, known, subjectOf, type Verdict } from '../../../../src/agent/checks/check.ts';
import type { CheckedNode } from '../../../../src/agent/checks/checked-node.ts';
import { findingsText } from '../../../../src/agent/checks/findings-text.ts';
import { NodeCheckRunner } from '../../../../src/agent/checks/node-checks.ts';
import { openSubjects } from '../../../../src/agent/checks/subjects.ts';
import { createLogger } from '../../../../src/util/log.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

const NODE: CheckedNode = {
  directories: { run: '/r', state: '/s', ipam: '/i', conf: '/c', bin: '/b' },
  pods: [],
};

/** A node with one thing that can be well or not. */
class OneThing {
  readonly clock = new FakeClock();
  readonly notes: string[] = [];
  looks = 0;
  state: Fact<'ok' | 'warning' | 'failing'> = 'ok';
  readonly runner = new NodeCheckRunner({
    subjects: [
      subjectOf(
        [
          {
            id: 'thing',
            concernsTraffic: true,
            why: 'it matters',
            judge: (state: OneThing['state']) => verdict(known(state)),
          },
        ],
        () => {
          this.looks++;
          return this.state;
        },
      ),
    ],
    node: () => NODE,
    clock: this.clock,
    log: createLogger('silent'),
    intervalMs: 60_000,
    report: ({ note }) => this.notes.push(note),
  });

  async look(state: OneThing['state']): Promise<string | undefined> {
    this.state = state;
    this.clock.advance(3_000);
    return (await this.runner.run()).findings[0]?.level;
  }
}

function verdict(level: 'ok' | 'warning' | 'failing'): Verdict {
  return level === 'ok' ? { level, seen: 'fine' } : { level, seen: 'broken', cure: 'mend it' };
}

test('what turns bad is told once, again when it was good in between, and when it gets worse', async () => {
  const thing = new OneThing();
  const told = async (state: OneThing['state']) => {
    await thing.look(state);
    return thing.notes.splice(0).length;
  };
  expect(await told('ok')).toBe(0);
  expect(await told('warning')).toBe(1);
  expect(await told('warning')).toBe(0);
  expect(await told('failing')).toBe(1);
  expect(await told('warning')).toBe(0);
  // Nobody knows whether it was good.
  expect(await told({ unread: 'gone' })).toBe(0);
  expect(await told('failing')).toBe(0);
  expect(await told('ok')).toBe(0);
  expect(await told('failing')).toBe(1);
});

test('who asks again at once is told the same, and status takes what is ten seconds old', async () => {
  const thing = new OneThing();
  await Promise.all([thing.runner.run(), thing.runner.run(), thing.runner.recent()]);
  await thing.runner.run();
  expect(thing.looks).toBe(1);
  thing.clock.advance(3_000);
  await thing.runner.recent();
  expect(thing.looks).toBe(1);
  await thing.runner.run();
  expect(thing.looks).toBe(2);
  thing.clock.advance(11_000);
  await thing.runner.recent();
  expect(thing.looks).toBe(3);
});

test('looks by itself some seconds after the start', async () => {
  const thing = new OneThing();
  thing.clock.advance(4_000);
  expect(thing.looks).toBe(0);
  thing.clock.advance(1_000);
  await expect.poll(() => thing.runner.last()?.findings.length).toBe(1);
  await thing.runner.close();
});

test('a reader that fails makes its checks unknown, and no others', async () => {
  const subject = subjectOf(
    [{ id: 'lost', concernsTraffic: true, why: 'it matters', judge: () => undefined }],
    () => {
      throw new Error('no such device');
    },
  );
  expect(await subject.look(NODE)).toMatchObject([
    { check: 'lost', level: 'unknown', seen: 'not known: no such device', cure: '' },
  ]);
});

test('names of checks are each there once, and words that labels can be', () => {
  const ids = openSubjects().flatMap((subject) => subject.ids);
  expect(new Set(ids).size).toBe(ids.length);
  for (const id of ids) expect(id).toMatch(/^[a-z0-9]+(-[a-z0-9]+)*$/);
});

test('what people read: the worst first, in 80 columns, and nothing that a terminal obeys', () => {
  const finding = { concernsTraffic: true, why: 'pods need it', cure: '' };
  const findings = [
    { ...finding, check: 'ip-forward', level: 'ok', seen: 'forwarding is on' },
    { ...finding, check: 'inotify', level: 'unknown', seen: 'not known: EACCES' },
    { ...finding, check: 'thing', level: 'warning', seen: 'node\u001b[2J', cure: 'mend it' },
    {
      ...finding,
      check: 'cluster-cidr',
      level: 'failing',
      seen: 'clusterCIDR 10.0.0.0/8 does not hold the podCIDR 192.168.0.0/24 of this node',
      cure: 'set it right',
    },
  ] as const;
  const all = { at: '2026-01-01T00:00:00.000Z', tookMs: 12, findings };
  const options = { hasColors: false, isWhole: true };
  expect(
    findingsText(all, options),
  ).toBe(`failing cluster-cidr: clusterCIDR 10.0.0.0/8 does not hold the podCIDR
        192.168.0.0/24 of this node
        why:  pods need it
        cure: set it right
warning thing: node?[2J
        why:  pods need it
        cure: mend it
unknown inotify: not known: EACCES
        why:  pods need it
ok      ip-forward: forwarding is on
1 failing, 1 warning, 1 unknown, 1 ok (12 ms)
`);
  const text = findingsText(all, {
    hasColors: true,
    isWhole: false,
    withoutAgent: 'nobody answers',
  });
  expect(text).toContain(
    'Only the node itself is looked at, not what the agent knows: nobody answers\n',
  );
  expect(text).toContain('\u001b[31mfailing\u001b[0m cluster-cidr');
  expect(text).not.toContain('ip-forward');
});
