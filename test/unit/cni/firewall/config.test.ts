import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseFirewallConfig } from '../../../../src/cni/firewall/config.ts';
import {
  commentPrefix,
  isSubnetComment,
  subnetRules,
} from '../../../../src/cni/firewall/layout.ts';
import { type CniError, toCniError } from '../../../../src/cni/protocol/errors.ts';
import { parseCidr } from '../../../../src/net/cidr.ts';

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
  ])('$config', ({ config, want }) => {
    expect(parseFirewallConfig(config)?.adminChain).toBe(want);
  });

  test.each([
    [{ type: 'firewall', backend: 'firewalld' }, 2, 'backend = "firewalld"'],
    [{ type: 'firewall', ingressPolicy: 'isolated' }, 2, 'ingressPolicy = "isolated"'],
    [{ firewall: { ingressPolicy: 'same-bridge' } }, 2, 'firewall.ingressPolicy = "same-bridge"'],
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

describe('comments', () => {
  const network = fc.stringMatching(/^[a-z0-9][a-zA-Z0-9_.-]{0,200}$/);
  const longest = 'fd00:1111:2222:3333:4444:5555:6666:7777/128';

  test('fit, tell networks apart and are known as ours', () => {
    fc.assert(
      fc.property(network, network, (a, b) => {
        for (const { comment } of subnetRules(a, parseCidr(longest))) {
          expect(Buffer.byteLength(comment)).toBeLessThanOrEqual(127);
          expect(isSubnetComment(comment)).toBe(true);
          expect(comment.startsWith(commentPrefix(a))).toBe(true);
          expect(comment.startsWith(commentPrefix(b))).toBe(a === b);
        }
      }),
    );
  });

  test('long names with the same beginning differ', () => {
    expect(commentPrefix(`${'n'.repeat(80)}1`)).not.toBe(commentPrefix(`${'n'.repeat(80)}2`));
  });

  test.each([undefined, 'from 10.0.0.0/8', 'weft: something'])('%j is not ours', (comment) => {
    expect(isSubnetComment(comment)).toBe(false);
  });
});
