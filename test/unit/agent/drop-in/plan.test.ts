import { describe, expect, test } from 'vitest';
import {
  type Action,
  planInstall,
  planUndo,
  type Seat,
} from '../../../../src/agent/drop-in/plan.ts';

type Row = [Seat['current'], Seat['saved'], Seat['noted'], Action | 'refused'];

function decide(plan: typeof planInstall, [current, saved, noted]: Row): Action | 'refused' {
  try {
    return plan([{ name: 'bridge', current, saved, noted }])[0]?.action ?? 'refused';
  } catch {
    return 'refused';
  }
}

describe('install', () => {
  test.each<Row>([
    ['absent', 'absent', undefined, 'create'],
    ['absent', 'different', 'saved', 'create'],
    ['weft', 'absent', 'created', 'none'],
    ['weft', 'different', 'saved', 'none'],
    ['other', 'absent', undefined, 'save'],
    // A package put another program there after weft was undone or overwritten.
    ['other', 'absent', 'created', 'save'],
    ['other', 'same', 'saved', 'replace'],
    ['other', 'different', 'saved', 'refused'],
  ])('%s, saved %s, noted %s: %s', (...row) => {
    expect(decide(planInstall, row)).toBe(row[3]);
  });
});

describe('undo', () => {
  test.each<Row>([
    ['absent', 'absent', undefined, 'none'],
    ['absent', 'different', 'saved', 'restore'],
    ['weft', 'absent', 'created', 'remove'],
    ['weft', 'absent', 'saved', 'refused'],
    ['weft', 'absent', undefined, 'refused'],
    ['weft', 'different', 'saved', 'restore'],
    ['other', 'absent', undefined, 'none'],
    ['other', 'same', 'saved', 'forget'],
    ['other', 'different', 'saved', 'none'],
  ])('%s, saved %s, noted %s: %s', (...row) => {
    expect(decide(planUndo, row)).toBe(row[3]);
  });
});

test('every obstacle is named', () => {
  const seat = { current: 'weft', saved: 'absent', noted: 'saved' } as const;
  expect(() =>
    planUndo([
      { ...seat, name: 'bridge' },
      { ...seat, name: 'portmap' },
    ]),
  ).toThrow(
    'nothing was changed:\n' +
      'bridge.weft-saved is missing; install the original bridge instead\n' +
      'portmap.weft-saved is missing; install the original portmap instead',
  );
});
