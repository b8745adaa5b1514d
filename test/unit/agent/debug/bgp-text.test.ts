import { expect, test } from 'vitest';
import { bgpText } from '../../../../src/agent/debug/bgp-text.ts';
import type { RoutingStatus } from '../../../../src/agent/status/routing-status.ts';

const STATUS: RoutingStatus = {
  ...{ asn: 64_512, topology: 'none', sessions: [], routes: [], reloads: 0, problems: [] },
  announcer: {
    ...{ addresses: ['192.0.2.100'], nodes: ['node-a', 'node-b'], problems: [] },
    all: [
      { ip: '192.0.2.100', services: ['shop/web'], node: 'node-a', whyNot: '' },
      { ip: '192.0.2.101', services: ['shop/cart'], whyNot: 'no endpoint is ready' },
    ],
  },
};

test('who answers for each address, or why nobody does', () => {
  const lines = bgpText(STATUS).split('\n');
  const table = lines.slice(lines.findIndex((line) => line.startsWith('ADDRESS')));
  expect(table.slice(0, 6)).toEqual([
    'ADDRESS      ANSWERED BY  SERVICES',
    '192.0.2.100  node-a       shop/web',
    '192.0.2.101  nobody       shop/cart: no endpoint is ready',
    '',
    'this node answers on its links for 192.0.2.100',
    'nodes that can answer: node-a, node-b',
  ]);
});
