import { expect, test } from 'vitest';
import { parseNodeSelector, selectsNode } from '../../../src/routing/node-selector.ts';

test.each([
  ['', {}, true],
  ['rack=a', { rack: 'a' }, true],
  ['rack==a', { rack: 'b' }, false],
  ['rack!=a', { rack: 'b' }, true],
  ['rack!=a', {}, true],
  ['rack', { rack: '' }, true],
  ['!rack', { rack: '' }, false],
  ['rack=', { rack: '' }, true],
  ['example.com/rack=a, !spare', { 'example.com/rack': 'a' }, true],
  ['rack=a,tier=db', { rack: 'a' }, false],
  ['toString', {}, false],
])('%j of %j: %s', (text, labels, wanted) => {
  const selector = parseNodeSelector(text);
  expect(selector && selectsNode(selector, labels)).toBe(wanted);
});

test.each(['=a', 'rack=a=b', '!rack=a', 'rack in (a)', 'rack;', 'a,,b', 'rack="a"'])(
  '%j is no selector',
  (text) => {
    expect(parseNodeSelector(text)).toBeUndefined();
  },
);
