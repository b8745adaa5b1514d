import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseFirewallConfig } from '../../../../src/cni/firewall/config.ts';
import {
  addressRules,
  commentPrefix,
  ownerOf,
  parseComment,
} from '../../../../src/cni/firewall/layout.ts';
import { type CniError, toCniError } from '../../../../src/cni/protocol/errors.ts';
import { parseIP } from '../../../../src/net/ip.ts';

function failureOf(config: object): CniError {
  try {
    parseFirewallConfig({ ...config });
  } catch (thrown) {
    return toCniError(thrown);
  }
  throw new Error('nothing was thrown');
}

describe('parseFirewallConfig', () => {
  test.each([
    { config: { type: 'weft' }, want: undefined },
    { config: { type: 'weft', firewall: false }, want: undefined },
    { config: { type: 'weft', backend: 'nftables' }, want: undefined },
    { config: { type: 'weft', firewall: true }, want: 'CNI-ADMIN' },
    { config: { type: 'weft', firewall: { iptablesAdminChainName: 'MINE' } }, want: 'MINE' },
    { config: { type: 'firewall' }, want: 'CNI-ADMIN' },
    { config: { type: 'firewall', Backend: 'iptables', ingressPolicy: 'open' }, want: 'CNI-ADMIN' },
    { config: { type: 'firewall', iptablesAdminChainName: 'X-1' }, want: 'X-1' },
    { config: { type: 'firewall', firewalldZone: 'trusted' }, want: 'CNI-ADMIN' },
  ])('$config', ({ config, want }) => {
    expect(parseFirewallConfig(config)?.adminChain).toBe(want);
  });

  test.each([
    [{ type: 'firewall' }, 'open'],
    [{ type: 'firewall', ingressPolicy: '' }, 'open'],
    [{ type: 'firewall', ingressPolicy: 'isolated' }, 'isolated'],
    [{ firewall: { ingressPolicy: 'same-bridge' } }, 'same-bridge'],
  ])('ingress of %j is %s', (config, want) => {
    expect(parseFirewallConfig(config)?.ingress).toBe(want);
  });

  test.each([
    [{ type: 'firewall', firewalldZone: '--help me' }, 7, 'invalid zone "--help me"'],
    [{ firewall: { firewalldZone: 5 } }, 7, 'invalid zone 5'],
    [{ type: 'firewall', backend: 'pf' }, 7, 'unrecognized firewall backend "pf"'],
    [{ type: 'firewall', ingressPolicy: 'shut' }, 7, 'unsupported ingress policy: "shut"'],
    [{ type: 'firewall', iptablesAdminChainName: 'a b' }, 7, 'invalid chain name "a b"'],
    [{ type: 'firewall', iptablesAdminChainName: 'n'.repeat(29) }, 7, 'invalid chain name'],
    [{ firewall: 'yes' }, 7, 'must be true, false or an object'],
  ])('%j is refused', (config, cniCode, message) => {
    const failure = failureOf(config);
    expect(failure.cniCode).toBe(cniCode);
    expect(failure.message).toContain(message);
  });
});

test.each([
  [{ type: 'firewall' }, undefined, 'trusted'],
  [{ type: 'firewall', backend: 'firewalld' }, 'firewalld', 'trusted'],
  [{ firewall: { backend: 'iptables', firewalldZone: 'pods' } }, 'iptables', 'pods'],
])('back end of %j is %s', (config, backend, zone) => {
  const parsed = parseFirewallConfig(config);
  expect([parsed?.backend, parsed?.zone]).toEqual([backend, zone]);
});

describe('comments', () => {
  const network = fc.stringMatching(/^[a-z0-9][a-zA-Z0-9_.-]{0,200}$/);
  const longest = parseIP('fd00:1111:2222:3333:4444:5555:6666:7777');

  test('fit, tell networks and attachments apart and are known as ours', () => {
    fc.assert(
      fc.property(network, network, fc.stringMatching(/^[0-9a-f]{1,64}$/), (a, b, containerId) => {
        const owner = { network: a, containerId, ifName: 'eth0' };
        for (const { comment } of addressRules(owner, longest)) {
          expect(Buffer.byteLength(comment)).toBeLessThanOrEqual(127);
          expect(parseComment(comment)).toEqual({
            prefix: commentPrefix(a),
            owner: ownerOf(owner),
          });
          expect(parseComment(comment)?.prefix === commentPrefix(b)).toBe(a === b);
        }
      }),
    );
  });

  test('those of releases that let whole subnets through name no attachment', () => {
    const prefix = commentPrefix('net');
    expect(parseComment('weft net: to 10.0.0.0/8')).toEqual({ prefix });
    expect(parseComment('weft net: from fd00::/64')).toEqual({ prefix });
  });

  test('long names with the same beginning differ', () => {
    expect(commentPrefix(`${'n'.repeat(80)}1`)).not.toBe(commentPrefix(`${'n'.repeat(80)}2`));
  });

  test.each([undefined, 'from 10.0.0.0/8', 'weft: something'])('%j is not ours', (comment) => {
    expect(parseComment(comment)).toBeUndefined();
  });
});
