import { expect, test } from 'vitest';
import { tableSets } from '../../../../../src/proxy/modes/nftables/sets.ts';

const FRONTENDS = [
  'service-ips',
  'service-nodeports',
  'rejected-sources',
  'no-endpoint-services',
  'no-endpoint-nodeports',
];
const ENDPOINTS = [
  'endpoints',
  'nodeport-endpoints',
  'local-endpoints',
  'local-nodeport-endpoints',
  'affine-endpoints',
  'affine-local-endpoints',
];

test.each([
  { countsEndpoints: undefined, want: FRONTENDS },
  { countsEndpoints: false, want: FRONTENDS },
  { countsEndpoints: true, want: [...FRONTENDS, ...ENDPOINTS] },
])('sets that count, with countsEndpoints $countsEndpoints', ({ countsEndpoints, want }) => {
  const options = { family: 4, acceptsOnAllAddresses: false } as const;
  const sets = tableSets(countsEndpoints === undefined ? options : { ...options, countsEndpoints });
  const counting = sets.flatMap(({ name, hasCounters }) => (hasCounters === true ? [name] : []));
  expect(counting).toEqual(want);
});
