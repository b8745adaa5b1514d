import { describe, expect, test } from 'vitest';
import { parseListing } from '../../../../../src/iptables/listing.ts';
import { removal } from '../../../../../src/proxy/modes/iptables/cleanup.ts';

function removed(...lines: readonly string[]) {
  const { removedGuests = [], removedChains = [] } = removal(parseListing(lines.join('\n')));
  return {
    rules: removedGuests.map(({ table, chain, rule }) => `${table} ${chain} ${rule}`),
    chains: removedChains.map(({ table, name }) => `${table} ${name}`),
  };
}

describe('cleanup', () => {
  test('removes chains and the jumps to them', () => {
    expect(
      removed(
        ...[
          '*nat',
          ':OUTPUT ACCEPT [0:0]',
          ':KUBE-SERVICES - [0:0]',
          ':KUBE-SVC-AAAAAAAAAAAAAAAA -',
        ],
        '-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
        ...['-A OUTPUT -j RETURN', '-A KUBE-SERVICES -j KUBE-SVC-AAAAAAAAAAAAAAAA'],
        ...['*mangle', ':KUBE-PROXY-CANARY - [0:0]', ':KUBE-KUBELET-CANARY - [0:0]'],
      ),
    ).toEqual({
      rules: ['nat OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES'],
      chains: ['nat KUBE-SERVICES', 'nat KUBE-SVC-AAAAAAAAAAAAAAAA', 'mangle KUBE-PROXY-CANARY'],
    });
  });

  test('keeps what is the kubelet’s', () => {
    expect(
      removed(
        ...[
          '*filter',
          ':INPUT ACCEPT [0:0]',
          ':KUBE-FIREWALL - [0:0]',
          '-A INPUT -j KUBE-FIREWALL',
        ],
        '-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -j DROP',
        ...['*nat', ':KUBE-MARK-DROP - [0:0]', ':KUBE-KUBELET-CANARY - [0:0]'],
      ),
    ).toEqual({ rules: [], chains: [] });
  });

  test('keeps a chain that rules of others use, and what it leads to', () => {
    expect(
      removed(
        ...['*nat', ':PREROUTING ACCEPT [0:0]', ':CNI-DN-1 - [0:0]', ':KUBE-MARK-MASQ - [0:0]'],
        ...[':KUBE-EXT-AAAAAAAAAAAAAAAA - [0:0]', ':KUBE-POSTROUTING - [0:0]'],
        '-A CNI-DN-1 -s 10.0.0.0/8 -j KUBE-EXT-AAAAAAAAAAAAAAAA',
        '-A KUBE-EXT-AAAAAAAAAAAAAAAA -j KUBE-MARK-MASQ',
        '-A PREROUTING -j CNI-DN-1',
      ),
    ).toEqual({ rules: [], chains: ['nat KUBE-POSTROUTING'] });
  });

  test('finds nothing where there is nothing', () => {
    expect(removed('*nat', ':OUTPUT ACCEPT [0:0]', '-A OUTPUT -j RETURN')).toEqual({
      rules: [],
      chains: [],
    });
  });
});
