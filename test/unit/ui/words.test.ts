import { describe, expect, test } from 'vitest';
import { answerLines } from '../../../src/ui/answer.ts';
import { rowsOf } from '../../../src/ui/rows.ts';
import { search } from '../../../src/ui/search.ts';
import { MOST_SAMPLES, sparkPath, withSample } from '../../../src/ui/spark.ts';
import {
  ageWords,
  healthState,
  peerState,
  rateWords,
  serviceState,
  shortened,
} from '../../../src/ui/words.ts';
import { here, largeNode, peer, service, smallNode } from '../../support/page/snapshots.ts';

const small = smallNode();

describe('search', () => {
  const found = (query: string) => search(small, query, 8).map(({ kind, key }) => `${kind} ${key}`);
  test.each([
    ['', []],
    ['web', ['service shop/web', 'pod shop/web-6b8d7-4kx2v', 'pod shop/web-6b8d7-p9qrm']],
    ['10.244.1.6', ['service shop/db', 'pod shop/db-0']],
    ['30080', ['service shop/web']],
    ['node-3', ['node node-3']],
    ['shop cart', ['service shop/cart', 'pod shop/cart-7c9f4']],
    ['WEB 10.96', ['service shop/web']],
    ['nothing like that', []],
  ])('%s', (query, want) => {
    expect(found(query)).toEqual(want);
  });

  test('among a thousand Services, so many are given', () => {
    expect(search(largeNode(), 'service', 8)).toHaveLength(8);
  });
});

describe('states in words', () => {
  test.each([
    [peer('a', 1), 'well same link'],
    [peer('a', 1, { way: 'vxlan', path: 'smaller', mtu: 1400 }), 'doubtful VXLAN, MTU 1400'],
    [peer('a', 1, { path: 'silent' }), 'bad same link, no answer'],
    [peer('a', 1, { way: 'unreachable', path: 'not probed' }), 'bad not reached'],
    [peer('a', 1, { way: 'none', path: 'not probed' }), 'quiet no pods'],
  ])('%# of a node', (each, want) => {
    const { tone, words } = peerState(each);
    expect(`${tone} ${words}`).toBe(want);
  });

  test.each([
    [[], {}, 'bad no endpoints'],
    [[here('10.0.0.1')], {}, 'well 1 endpoint'],
    [[here('10.0.0.1')], { endpointCount: 3 }, 'well 1 of 3 serve'],
    [[], { endpointCount: 2 }, 'bad 0 of 2 serve'],
    [[here('10.0.0.1')], { refusedPerSecond: 2 }, 'doubtful 1 endpoint, some refused'],
  ])('%# of a Service', (endpoints, more, want) => {
    const { tone, words } = serviceState(service('a/b', '10.96.0.1', endpoints, more));
    expect(`${tone} ${words}`).toBe(want);
  });

  test.each([
    [undefined, ''],
    [0, 'idle'],
    [0.4, '0.4/s'],
    [12.7, '13/s'],
    [25_300, '25k/s'],
  ])('a rate of %s', (rate, want) => {
    expect(rateWords(rate)).toBe(want);
  });

  test('the health of all', () => {
    const ok = { key: 'a', level: 'ok', seen: '', why: '', cure: '' } as const;
    const warning = { ...ok, level: 'warning' } as const;
    expect(healthState(true, [])).toEqual({ tone: 'well', words: 'Healthy' });
    expect(healthState(true, [ok]).words).toBe('Healthy: 1 check, all well');
    expect(healthState(true, [ok, warning])).toEqual({ tone: 'doubtful', words: '1 warning' });
    expect(healthState(false, [])).toEqual({ tone: 'bad', words: 'Not healthy' });
    expect(healthState(false, small.findings).words).toBe('1 check fails, 1 warning');
  });

  test.each([
    [0, 'just now'],
    [40, '40 s ago'],
    [420, '7 min ago'],
    [10_800, '3 h ago'],
    [432_000, '5 d ago'],
  ])('%d seconds', (seconds, want) => {
    const at = '2026-11-03T08:00:00Z';
    expect(ageWords(at, Date.parse(at) + seconds * 1000)).toBe(want);
  });

  test('a long name keeps its end', () => {
    expect(shortened('web-6b8d7-4kx2v', 20)).toBe('web-6b8d7-4kx2v');
    expect(shortened('web-frontend-6b8d7-4kx2v', 12)).toBe('web-fron…x2v');
  });
});

describe('lists', () => {
  const keys = (query: string) => rowsOf('services', small, query, 0).map(({ key }) => key);
  test('narrowed by what is searched for, in whatever column', () => {
    expect(keys('shop')).toHaveLength(4);
    expect(keys('0 of 1')).toEqual(['shop/payments']);
    expect(rowsOf('denied', small, 'cart', 0)[0]?.cells.slice(0, 3)).toEqual([
      'shop/db-0',
      '5432/tcp',
      'NetworkPolicy shop/db',
    ]);
  });
});

test('samples are bounded, and a line needs some', () => {
  let samples: readonly number[] = [];
  for (let i = 0; i < 200; i++) samples = withSample(samples, i);
  expect([samples.length, samples.at(-1)]).toEqual([MOST_SAMPLES, 199]);
  expect(sparkPath([1, 2, 3], 50, 10)).toBe('');
  expect(sparkPath([0, 10, 5, 10], 47, 10)).toBe('M44.0 10.0L45.0 0.0L46.0 5.0L47.0 0.0');
});

test('what explain says, line by line', () => {
  const text =
    'A new connection\n\n 1. From a pod.\n    50.0%  10.0.0.1:80\n\nVerdict: it goes there.\nNext: look.\n';
  expect(answerLines(text)).toEqual([
    { kind: 'text', text: 'A new connection' },
    { kind: 'step', text: 'From a pod.' },
    { kind: 'detail', text: '50.0%  10.0.0.1:80' },
    { kind: 'verdict', text: 'Verdict: it goes there.' },
    { kind: 'next', text: 'Next: look.' },
  ]);
});
