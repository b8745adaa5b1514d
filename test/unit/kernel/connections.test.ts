import { expect, test } from 'vitest';
import { dropsOf } from '../../../src/kernel/connections.ts';

const LISTING = `sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode
00000000b5c82a7b 0   1234       00000000 0        0        0     2        7        4
00000000af270fd7 12  1234       00000005 0        0        0     2        4815     1503
`;

test.each([
  [12, 1234, 4815],
  [0, 1234, 7],
  [12, 99, undefined],
])('drops of socket %i of protocol %i', (protocol, portId, drops) => {
  expect(dropsOf(LISTING, protocol, portId)).toBe(drops);
});
