import { describe, expect, test } from 'vitest';
import {
  endpointChain,
  isOwnChain,
  isServiceChain,
  serviceChain,
} from '../../../../../src/proxy/modes/iptables/chain-names.ts';
import { parseService } from '../../../../../src/proxy/service.ts';
import { service } from '../../../../support/proxy-objects.ts';

describe('chain names', () => {
  const [port] =
    parseService({
      ...service('svc1', '172.30.0.41', { ports: [{ name: 'p80', protocol: 'TCP', port: 80 }] }),
      metadata: { name: 'svc1', namespace: 'ns1' },
    }).get(4)?.ports ?? [];
  if (port === undefined) throw new Error('no port');

  test('are those that kube-proxy gives', () => {
    expect(serviceChain('SVC', port)).toBe('KUBE-SVC-XPGD46QRK7WJZT7O');
    expect(endpointChain(port, '10.180.0.1:80')).toBe('KUBE-SEP-SXIVWICOYRO3J4NJ');
  });

  test('differ by protocol and fit in 28 characters', () => {
    const names = (['tcp', 'udp', 'sctp'] as const).map((protocol) =>
      serviceChain('EXT', { ...port, protocol, name: `${'n'.repeat(63)}/${'s'.repeat(63)}` }),
    );
    expect(new Set(names).size).toBe(3);
    expect(Math.max(...names.map(({ length }) => length))).toBeLessThanOrEqual(28);
  });

  test.each([
    ['KUBE-SVC-XPGD46QRK7WJZT7O', true],
    ['KUBE-XLB-XPGD46QRK7WJZT7O', true],
    ['KUBE-SVC-XPGD46QRK7WJZT7', false],
    ['KUBE-SVC-xpgd46qrk7wjzt7o', false],
    ['KUBE-NWPLCY-XPGD46QRK7WJZT7O', false],
    ['KUBE-POD-FW-XPGD46QRK7WJZT7O', false],
    ['CNI-DN-XPGD46QRK7WJZT7O', false],
  ])('%s comes with a ServicePort: %s', (name, want) => {
    expect(isServiceChain(name)).toBe(want);
  });

  test.each([
    ['filter', 'KUBE-FIREWALL', false],
    ['filter', 'KUBE-FORWARD', true],
    ['nat', 'KUBE-FORWARD', false],
    ['nat', 'KUBE-MARK-DROP', false],
    ['nat', 'KUBE-MARK-MASQ', true],
    ['mangle', 'KUBE-PROXY-CANARY', true],
    ['mangle', 'KUBE-KUBELET-CANARY', false],
    ['mangle', 'KUBE-IPTABLES-HINT', false],
  ] as const)('%s %s is ours: %s', (table, name, want) => {
    expect(isOwnChain(table, name)).toBe(want);
  });
});
