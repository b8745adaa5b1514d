import { expect, test } from 'vitest';
import { connectionEvent } from '../../../../src/agent/flows/describe.ts';
import type { FlowQuery } from '../../../../src/agent/flows/flow-event.ts';
import { matchesQuery } from '../../../../src/agent/flows/flow-query.ts';
import { connection, labNames, NODE } from './flow-lab.ts';

const UNREPLIED = 8;
const EVENTS = {
  service: connection('10.1.0.2 1000', '172.30.0.1 80', { sentOn: '10.1.0.3 8080' }),
  pods: connection('10.1.0.2 1000', '10.1.0.3 80'),
  silent: connection('10.1.0.2 1000', '10.1.0.3 80', { status: UNREPLIED }),
  outside: connection('203.0.113.1 1', '192.168.0.1 30080', { sentOn: '10.1.0.3 8080' }),
  nodes: connection('192.168.0.1 1', '192.168.0.2 6443'),
  others: connection('192.168.0.2 1', '192.168.0.9 6443'),
  loopback: connection('127.0.0.1 1', '127.0.0.1 2'),
};

test.each<[FlowQuery, readonly string[]]>([
  [{}, ['service', 'pods', 'silent', 'outside', 'others']],
  [{ pod: 'shop/client' }, ['service', 'pods', 'silent']],
  [{ pod: 'shop/web-1' }, ['service', 'pods', 'silent', 'outside']],
  [{ service: 'shop/web' }, ['service', 'outside']],
  [{ service: 'shop/web', pod: 'shop/client' }, ['service']],
  [{ namespace: 'shop' }, ['service', 'pods', 'silent', 'outside']],
  [{ namespace: 'sho' }, []],
  [{ isNode: true }, ['outside', 'nodes', 'loopback']],
  [{ isDropped: true }, ['silent']],
])('%j', (query, want) => {
  const names = labNames();
  const found = Object.entries(EVENTS).filter(([, each]) => {
    return matchesQuery(query, connectionEvent('end', each, names, 0), NODE);
  });
  expect(found.map(([name]) => name)).toEqual(want);
});
