import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  ifbAlias,
  ifbMac,
  ifbNames,
  ifbOwner,
  isIfbOf,
} from '../../../../src/cni/bandwidth/ifb.ts';
import type { Link } from '../../../../src/kernel/types.ts';

const attachment = { network: 'net', containerId: 'pod-1', ifName: 'eth0' };

function ifb(change: Partial<Link>): Link {
  return {
    index: 7,
    name: 'bwp0',
    kind: 'ifb',
    mac: undefined,
    mtu: 1500,
    isUp: true,
    operState: 'unknown',
    isPromiscuous: false,
    master: undefined,
    peerIndex: undefined,
    alias: undefined,
    ...change,
  };
}

describe('ifbNames', () => {
  test('the first is what the reference calls it', () => {
    const hash = createHash('sha512').update('netpod-1').digest('hex');
    expect(ifbNames(attachment)[0]).toBe(`bwp${hash.slice(0, 12)}`);
  });

  test('interfaces of one container share the first name only', () => {
    const [first, second] = ifbNames(attachment);
    const other = ifbNames({ ...attachment, ifName: 'net1' });
    expect(other[0]).toBe(first);
    expect(other[1]).not.toBe(second);
    expect(second).toMatch(/^bwp[0-9a-f]{12}$/);
  });

  test('hardware addresses differ', () => {
    expect(ifbMac(attachment)).not.toBe(ifbMac({ ...attachment, ifName: 'net1' }));
  });
});

describe('ifbOwner', () => {
  const word = fc.stringMatching(/^[a-z0-9][a-zA-Z0-9_.-]{0,70}$/);

  test('reads what ifbAlias wrote', () => {
    fc.assert(
      fc.property(word, word, word, (network, containerId, ifName) => {
        const owner = { network, containerId, ifName };
        expect(ifbOwner(ifb({ alias: ifbAlias(owner) }))).toEqual(owner);
      }),
    );
  });

  test.each([
    ['without an alias', {}],
    ['of another kind', { kind: 'dummy', alias: 'net/pod/eth0' }],
    ['with another name', { name: 'ifb0', alias: 'net/pod/eth0' }],
    ["with somebody's text", { alias: 'uplink' }],
    ['with more fields', { alias: 'a/b/c/d' }],
    ['that was cut', { alias: ifbAlias({ ...attachment, network: 'n'.repeat(300) }) }],
    ['that was cut in the last field', { alias: `${'n'.repeat(245)}/pod-1/eth` }],
  ])('a link %s has none', (_, change) => {
    expect(ifbOwner(ifb(change))).toBeUndefined();
  });
});

test.each([
  ['ours', { alias: 'net/pod-1/eth0' }, true],
  ["the reference's", { alias: undefined }, true],
  ["another interface's", { alias: 'net/pod-1/net1' }, false],
  ['of another kind', { kind: 'dummy' }, false],
])('isIfbOf: %s', (_, change, want) => {
  expect(isIfbOf(attachment, ifb(change))).toBe(want);
});
