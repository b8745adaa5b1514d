import { describe, expect, test } from 'vitest';
import { AGENT_SCHEMA, AGENT_SETTINGS } from '../../../../src/agent/config/agent-settings.ts';
import { KUBE_PROXY_SETTINGS } from '../../../../src/agent/config/kube-proxy-settings.ts';
import {
  duration,
  fillTable,
  gates,
  integer,
  optional,
  rowsOf,
  schemaOf,
  settingAt,
  shownDefault,
  text,
} from '../../../../src/agent/config/setting.ts';

const TABLE = {
  name: text((root) => (root['isOther'] === true ? 'b' : 'a'), 'Name', { isEmptyAbsent: true }),
  part: {
    period: duration('24h0m0s', 'Period', { isEmptyAbsent: true, isLive: true }),
    count: integer(0, 'Count', { flag: 'count' }),
    maybe: optional<string>('text', 'Maybe'),
  },
  gone: { windows: optional('text', 'For others', { isIgnored: true }) },
  gates: gates({}, 'Gates'),
} as const;

describe('a table of settings', () => {
  test('fills in what is left out, and leaves out what has no effect', () => {
    const filled = { name: 'a', part: { period: '24h0m0s', count: 0 }, gates: {} };
    expect(fillTable(TABLE, {})).toEqual(filled);
    expect(fillTable(TABLE, { name: '', part: { period: '0s' }, gone: { windows: 'x' } })).toEqual(
      filled,
    );
    expect(fillTable(TABLE, { isOther: true, part: { count: 7, maybe: 'm' } })).toMatchObject({
      name: 'b',
      part: { count: 7, maybe: 'm' },
    });
  });

  test('is a schema', () => {
    expect(schemaOf(TABLE, 'x.json')).toMatchObject({
      $id: 'x.json',
      additionalProperties: false,
      properties: {
        name: { type: 'string' },
        part: { properties: { period: { type: 'string', format: 'go-duration' } } },
        gone: { properties: { windows: { type: 'string' } } },
      },
    });
  });

  test('knows the row that a path belongs to', () => {
    expect(settingAt(TABLE, ['part', 'period'])?.isLive).toBe(true);
    expect(settingAt(TABLE, ['gates', 'A'])?.describe).toBe('Gates');
    expect(settingAt(TABLE, ['part'])).toBeUndefined();
    expect(settingAt(TABLE, ['nothing', 'here'])).toBeUndefined();
  });

  test.each([
    [TABLE.part.period, '24h'],
    [TABLE.part.count, undefined],
    [duration('1h30m0s', ''), '1h30m'],
    [duration('0s', ''), undefined],
    [text('x', '', { shown: 'the hostname' }), 'the hostname'],
    [text('x', '', { shown: '' }), undefined],
  ])('shows what an absent value means: %#', (row, want) => {
    expect(shownDefault(row)).toBe(want);
  });
});

test.each([
  ['agent', AGENT_SETTINGS],
  ['kube-proxy', KUBE_PROXY_SETTINGS],
])('every default of the table %s is one of its choices and within its limits', (_, table) => {
  for (const { path, row } of rowsOf(table)) {
    const { fallback, min, max, choices } = row;
    if (choices !== undefined && fallback !== undefined) expect(choices).toContain(fallback);
    if (typeof fallback !== 'number') continue;
    expect(fallback, path.join('.')).toBeGreaterThanOrEqual(min ?? fallback);
    expect(fallback, path.join('.')).toBeLessThanOrEqual(max ?? fallback);
  }
});

test('the file of weft agent refers to the one of kube-proxy', () => {
  expect(AGENT_SCHEMA.properties).toHaveProperty('proxy');
  expect(AGENT_SCHEMA.properties).toHaveProperty('userspaceUdpIdleSeconds');
});
