import { describe, expect, test } from 'vitest';
import { parseIP } from '../../../src/net/ip.ts';
import { parseBalancing } from '../../../src/proxy/balancing.ts';
import type { Endpoint } from '../../../src/proxy/endpoints.ts';
import { weigh } from '../../../src/proxy/weights.ts';
import { service } from '../../support/proxy-objects.ts';

const parse = (annotations: Readonly<Record<string, string>>) => {
  const object = service('web', '172.30.0.1');
  return parseBalancing({ ...object, metadata: { ...object.metadata, annotations } });
};
const parseWeights = (text: string) => parse({ 'weft.dev/weights': text });

describe('annotations', () => {
  test.each([
    { name: 'absent', annotations: {}, want: 'random' },
    { name: 'random', annotations: { 'weft.dev/balance': 'random' }, want: 'random' },
    { name: 'hash', annotations: { 'weft.dev/balance': ' source-hash ' }, want: 'source-hash' },
  ])('balance: $name', ({ annotations, want }) => {
    expect(parse(annotations)).toEqual({ balance: want, weights: [], problems: [] });
  });

  test('an unknown balance is random and named', () => {
    expect(parse({ 'weft.dev/balance': 'round-robin' })).toEqual({
      balance: 'random',
      weights: [],
      problems: ['weft.dev/balance is "round-robin": use random or source-hash'],
    });
  });

  test('weights by address, node and zone', () => {
    const { weights, problems } = parseWeights('10.0.0.5=3, node/worker-2 = 0,zone/eu-1a=100,');
    expect(problems).toEqual([]);
    expect(weights).toEqual([
      { kind: 'address', name: '10.0.0.5', weight: 3 },
      { kind: 'node', name: 'worker-2', weight: 0 },
      { kind: 'zone', name: 'eu-1a', weight: 100 },
    ]);
  });

  test('addresses are compared as addresses', () => {
    expect(parseWeights('FD00::0005=2').weights).toEqual([
      { kind: 'address', name: 'fd00::5', weight: 2 },
    ]);
  });

  test.each([
    { text: '10.0.0.5', want: '"10.0.0.5": use <subject>=<whole number from 0 to 100>' },
    { text: '10.0.0.5=101', want: '"10.0.0.5=101": use <subject>=<whole number from 0 to 100>' },
    { text: '10.0.0.5=1.5', want: '"10.0.0.5=1.5": use <subject>=<whole number from 0 to 100>' },
    { text: '10.0.0.5=-1', want: '"10.0.0.5=-1": use <subject>=<whole number from 0 to 100>' },
    { text: 'worker=2', want: '"worker=2": use an address, node/<name> or zone/<name>' },
    { text: 'node/=2', want: '"node/=2": use an address, node/<name> or zone/<name>' },
    { text: 'zone/a=1, zone/a=2', want: '"zone/a=2": named twice, keep one of them' },
  ])('$text is not taken', ({ text, want }) => {
    expect(parseWeights(`10.0.0.9=4, ${text}`)).toEqual({
      balance: 'random',
      weights: [],
      problems: [`weft.dev/weights: ${want}`],
    });
  });
});

/** `10.0.0.1 node zone` */
function endpoint(text: string): Endpoint {
  const [ip = '', nodeName, zone] = text.split(' ');
  const target = {
    ip: parseIP(ip),
    isReady: true,
    isServing: true,
    isTerminating: false,
    isLocal: false,
    nodeName,
    zone,
    zoneHints: [],
    nodeHints: [],
  };
  return { port: 80, target };
}

const three = ['10.0.0.1 n1 za', '10.0.0.2 n1 zb', '10.0.0.3 n2 zb'].map(endpoint);

describe('weigh', () => {
  test.each([
    { name: 'no rules', rules: '', want: '1:- 2:- 3:-' },
    { name: 'nobody is named', rules: '10.9.9.9=5', want: '1:- 2:- 3:-' },
    { name: 'an address', rules: '10.0.0.2=3', want: '1:1 2:3 3:1' },
    { name: 'a node', rules: 'node/n1=2', want: '1:2 2:2 3:1' },
    { name: 'a zone', rules: 'zone/zb=2', want: '1:1 2:2 3:2' },
    {
      name: 'address before node before zone',
      rules: 'zone/zb=7, node/n1=5, 10.0.0.1=2',
      want: '1:2 2:5 3:7',
    },
    { name: 'divided as far as possible', rules: 'node/n1=100, node/n2=50', want: '1:2 2:2 3:1' },
    { name: 'all the same', rules: 'node/n1=40, node/n2=40', want: '1:- 2:- 3:-' },
    { name: 'zero is left out', rules: 'node/n1=0', want: '3:-' },
    {
      name: 'zero is used when there is nothing else',
      rules: 'zone/za=0,zone/zb=0',
      want: '1:- 2:- 3:-',
    },
  ])('$name', ({ rules, want }) => {
    const { endpoints, weights } = weigh(three, parseWeights(rules).weights);
    const text = endpoints.map(({ target }, i) => `${target.ip.slice(-1)}:${weights?.[i] ?? '-'}`);
    expect(text.join(' ')).toBe(want);
  });

  test('makes at most 4,096 shares of many endpoints, in about these proportions', () => {
    const many = Array.from({ length: 200 }, (_, i) => endpoint(`10.0.1.${i} n${i % 2} z`));
    const { weights = [] } = weigh(many, parseWeights('node/n0=99, node/n1=50').weights);
    const sum = weights.reduce((total, weight) => total + weight, 0);
    expect(sum).toBeLessThanOrEqual(4096);
    expect((weights[0] ?? 0) / (weights[1] ?? 1)).toBeCloseTo(99 / 50, 0);
  });
});
