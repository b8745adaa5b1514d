import { expect, test } from 'vitest';
import { ADDRESS_CHECKS, type AddressFacts } from '../../../../src/agent/checks/addresses.ts';
import type { CheckedAddresses } from '../../../../src/agent/checks/checked-node.ts';
import { withAddresses } from '../../../../src/agent/routing/status.ts';
import type { AnnouncerStatus, PoolsStatus } from '../../../../src/agent/status/routing-status.ts';
import { judge, UNKNOWN, UNREADABLE } from './judge.ts';

const POOLS: PoolsStatus = {
  isAllocator: true,
  pools: [{ name: 'public', size: '1', used: 1, holders: ['shop/web'] }],
  ...{ leaseProblems: [], unassigned: [], problems: [] },
};
const ANNOUNCER: AnnouncerStatus = {
  ...{ addresses: ['192.0.2.100'], nodes: ['node-a'], problems: [] },
  all: [{ ip: '192.0.2.100', services: ['shop/web'], node: 'node-a', whyNot: '' }],
};
const GOOD: CheckedAddresses = { pools: POOLS, announcer: ANNOUNCER, leaseCure: 'grant it' };
const pools = (more: Partial<PoolsStatus>) => ({ ...GOOD, pools: { ...POOLS, ...more } });
const announcer = (more: Partial<AnnouncerStatus>) => ({
  ...GOOD,
  announcer: { ...ANNOUNCER, ...more },
});

test.each<[string, AddressFacts['addresses'], string | undefined]>([
  ['without', undefined, undefined],
  ['good', GOOD, 'ok: 1 address held of 1 pool, 1 answered for on links'],
  ['only given', { ...GOOD, announcer: undefined }, 'ok: 1 address held of 1 pool'],
  ['only announced', { ...GOOD, pools: undefined }, 'ok: 1 answered for on links'],
  [
    'a pool in a network of pods',
    pools({ problems: ['address pool a is not used: it overlaps 10.244.0.0/16', 'another'] }),
    'warning: address pool a is not used: it overlaps 10.244.0.0/16; and others | correct what is named; weft bgp tells all of it',
  ],
  [
    'a pool that has no more',
    pools({
      unassigned: ['shop/cart: no IPv4 address is left in pool public; held by shop/web, …'],
    }),
    'warning: shop/cart: no IPv4 address is left in pool public; held by shop/web, … | add addresses to a pool, delete Services that hold some, or correct what the Service asks for; weft bgp tells who holds what',
  ],
  [
    'no rights to a lease, which comes before what follows from it',
    pools({ leaseProblems: ['no lease'], unassigned: ['shop/cart: none'] }),
    'warning: no lease | grant it',
  ],
  [
    'nobody answers',
    announcer({
      all: [{ ip: '192.0.2.101', services: ['shop/cart'], whyNot: 'no endpoint is ready' }],
    }),
    'warning: nobody answers for 192.0.2.101 of shop/cart: no endpoint is ready | weft explain --to NAMESPACE/SERVICE:PORT tells of endpoints, weft bgp of nodes that can answer',
  ],
  [
    'the announcer cannot',
    announcer({ problems: ['no socket'] }),
    'warning: no socket | weft bgp tells all of it',
  ],
  ['unreadable', UNREADABLE, UNKNOWN],
])('load-balancer-addresses: %s', (_, addresses, want) => {
  expect(judge(ADDRESS_CHECKS, 'load-balancer-addresses', { addresses })).toBe(want);
});

test('what is wrong with addresses is told once beside what is wrong with BGP', () => {
  const status = { asn: 1, topology: 'none', sessions: [], routes: [], reloads: 0 };
  const wrong = { problems: ['pool'], leaseProblems: ['lease'], unassigned: ['service'] };
  const { problems } = withAddresses(
    { ...status, problems: ['session'] },
    { ...POOLS, ...wrong },
    { ...ANNOUNCER, problems: ['link'] },
  );
  expect(problems).toEqual(['session', 'pool', 'lease', 'service', 'link']);
});
