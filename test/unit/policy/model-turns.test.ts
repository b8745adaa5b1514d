/** A model that settles in turns, and is told more and asked to settle meanwhile, ends where any other does. */
import { afterEach, expect, test, vi } from 'vitest';
import { PolicyModel } from '../../../src/policy/model.ts';
import { PolicySets } from '../../../src/policy/policy-sets.ts';
import { Rows } from '../../../src/policy/rows.ts';
import {
  BENCH_NODE,
  benchChanges,
  podChange,
  podGone,
  policyChange,
} from '../../bench/policy-world.ts';

const SIZE = { localPods: 300, remotePods: 3_000, policies: 60 };
const LATER = [
  ...podGone(7),
  podChange(8, 'app-3'),
  policyChange(5, 1_234),
  { kind: 'networkPolicy', key: 'ns-6/p-6' } as const,
];

const newModel = () => new PolicyModel({ nodeName: BENCH_NODE, inside: [] });

function lines(model: PolicyModel): readonly string[] {
  return [...model.book.content()]
    .flatMap(([set, elements]) => elements.map((each) => JSON.stringify([set, each])))
    .sort();
}

test('others have their turns, and may settle in between', async () => {
  const model = newModel();
  for (const change of benchChanges(SIZE)) model.apply(change);
  let turns = 0;
  let isDone = false;
  const settling = model.settleInTurns().then(() => {
    isDone = true;
  });
  for (; turns < 3 && !isDone; turns++) await new Promise(setImmediate);
  expect(isDone, 'it had more than one turn').toBe(false);
  for (const change of LATER) model.apply(change);
  model.settle();
  const content = lines(model);
  await settling;
  model.settle();
  expect(lines(model)).toEqual(content);
  const other = newModel();
  for (const change of [...benchChanges(SIZE), ...LATER]) other.apply(change);
  other.settle();
  expect(content).toEqual(lines(other));
});

afterEach(() => {
  vi.restoreAllMocks();
});

test.each([
  ['pods are given their policies', PolicySets.prototype, 'attach'],
  ['rows are made', Rows.prototype, 'addIdentity'],
  ['verdicts are made', Rows.prototype, 'settle'],
] as const)(
  'what fails while %s is never taken for settled, and made anew',
  async (_, of, name) => {
    const failure = new Error('it is broken');
    const model = newModel();
    const changes = benchChanges({ localPods: 30, remotePods: 100, policies: 20 });
    for (const change of changes) model.apply(change);
    model.settle();
    for (const change of LATER) model.apply(change);
    const broken = vi.spyOn(of as Rows, name as 'addIdentity').mockImplementation(() => {
      throw failure;
    });
    await expect(model.settleInTurns()).rejects.toThrow(failure);
    broken.mockRestore();
    expect(() => model.settle()).toThrow(failure);
    const anew = model.anew();
    expect(anew.hasFailed).toBe(false);
    expect(anew.settle(), 'nobody knows who may lose something').toBe(true);
    const other = newModel();
    for (const change of [...changes, ...LATER]) other.apply(change);
    other.settle();
    expect(lines(anew).length).toBe(lines(other).length);
    expect(anew.selections.count).toBe(other.selections.count);
  },
);
