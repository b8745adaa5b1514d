import { describe, expect, test } from 'vitest';
import type { RulesChange } from '../../../../../src/iptables/model.ts';
import { restoreText } from '../../../../../src/iptables/restore-text.ts';
import { parseCidr } from '../../../../../src/net/cidr.ts';
import { parseIP } from '../../../../../src/net/ip.ts';
import type { PortRange } from '../../../../../src/nftables/statements.ts';
import type { SessionOptions } from '../../../../../src/proxy/modes/iptables/rules-session.ts';
import type { LocalDetector } from '../../../../../src/proxy/node-addresses.ts';
import { FakeIptables } from '../../../../support/fake-iptables.ts';
import { openSession, programPorts } from '../../../../support/iptables-lab.ts';
import { resolveAll } from '../../../../support/iptables-objects.ts';
import { service, slice } from '../../../../support/proxy-objects.ts';

const CLUSTER = {
  4: { kind: 'cidrs', cidrs: [parseCidr('10.0.0.0/8')] },
  6: { kind: 'cidrs', cidrs: [parseCidr('fd00:10::/32')] },
} as const;

interface Case {
  readonly name: string;
  readonly family: 4 | 6;
  readonly localDetector?: LocalDetector | undefined;
  readonly masqueradesAll?: boolean;
  readonly masqueradedUdpPorts?: PortRange;
  readonly nodePortIPs?: readonly string[];
  readonly options?: Partial<SessionOptions>;
}

function settingsOf({ family, masqueradesAll = false, nodePortIPs, ...row }: Case) {
  return {
    layout: {
      family,
      acceptsOnAllAddresses: nodePortIPs === undefined,
      localDetector: 'localDetector' in row ? row.localDetector : CLUSTER[family],
      masqueradesAll,
      masqueradedUdpPorts: row.masqueradedUdpPorts,
      serviceCIDRs: [],
    },
    nodePortIPs: (nodePortIPs ?? []).map(parseIP),
  };
}

/** The text of a first run on a node that has no rules yet. */
async function firstText(row: Case, services = resolveAll(row.family)): Promise<string> {
  const rules = new FakeIptables();
  await programPorts(openSession(rules, row.options), services, settingsOf(row));
  return rules.applied.map((change: RulesChange) => restoreText(change)).join('');
}

describe('a first run', () => {
  const cases: readonly Case[] = [
    { name: 'ipv4', family: 4, options: { hasLoopbackNodePorts: true } },
    { name: 'ipv6', family: 6 },
    {
      name: 'beside-a-tunnel',
      family: 4,
      masqueradedUdpPorts: { first: 10_000, last: 65_535 },
    },
    {
      name: 'listed-addresses-by-bridge',
      family: 4,
      localDetector: { kind: 'bridge', name: 'br0' },
      nodePortIPs: ['192.168.0.1', '192.168.0.9'],
      options: { masqueradeBit: 15, dropsInvalid: false },
    },
    {
      name: 'two-networks',
      family: 4,
      localDetector: { kind: 'cidrs', cidrs: ['10.1.0.0/16', '10.2.0.0/16'].map(parseCidr) },
    },
    { name: 'masquerade-all', family: 6, localDetector: undefined, masqueradesAll: true },
  ];
  test.each(cases)('is written as in $name', async (row) => {
    await expect(await firstText(row)).toMatchFileSnapshot(
      `../../../../golden/proxy-iptables/${row.name}.rules`,
    );
  });
});

describe('probabilities', () => {
  const many = (count: number) =>
    slice({
      service: 'web',
      endpoints: Array.from({ length: count }, (_, i) => `10.1.${i >> 8}.${i & 255}`),
    });
  const probabilities = async (count: number, weights?: string) => {
    const annotations = weights === undefined ? undefined : { 'weft.dev/weights': weights };
    const web = {
      ...service('web', '172.30.0.1'),
      metadata: { name: 'web', namespace: 'ns', annotations },
    };
    const text = await firstText({ name: '', family: 4 }, resolveAll(4, [web], [many(count)]));
    return [...text.matchAll(/--probability (\S+)/g)].map(([, value]) => value);
  };

  test.each([
    [1, undefined, []],
    [2, undefined, ['0.5000000000']],
    [4, undefined, ['0.2500000000', '0.3333333333', '0.5000000000']],
    [3, '10.1.0.0=2, 10.1.0.2=3', ['0.3333333333', '0.2500000000']],
    [3, '10.1.0.1=0', ['0.5000000000']],
  ])('of %i endpoints with weights %s', async (count, weights, want) => {
    expect(await probabilities(count, weights)).toEqual(want);
  });

  test('give every endpoint its share', async () => {
    let left = 1;
    for (const value of await probabilities(7)) {
      expect(left * Number(value)).toBeCloseTo(1 / 7, 8);
      left *= 1 - Number(value);
    }
    expect(left).toBeCloseTo(1 / 7, 8);
  });
});

describe('names that somebody chose', () => {
  test('stay within their comment', async () => {
    const bad = 'x" -j ACCEPT\nCOMMIT\n*raw';
    const text = await firstText(
      { name: '', family: 4 },
      resolveAll(
        4,
        [service('web', '172.30.0.1', { ports: [{ name: bad, protocol: 'TCP', port: 80 }] })],
        [
          slice({
            service: 'web',
            endpoints: ['10.1.0.3'],
            ports: [{ name: bad, protocol: 'TCP', port: 8080 }],
          }),
        ],
      ),
    );
    expect(text.match(/^COMMIT$/gm)).toHaveLength(3);
    expect(text.match(/^\*.*$/gm)).toEqual(['*filter', '*nat', '*mangle']);
    expect(text).toContain('"ns/web:x? -j ACCEPT?COMMIT??raw cluster IP"');
  });
});

describe('the rules of endpoints', () => {
  const ports = (count: number) =>
    resolveAll(
      4,
      [service('web', '172.30.0.1')],
      [
        slice({
          service: 'web',
          endpoints: Array.from({ length: count }, (_, i) => `10.1.${i >> 8}.${i & 255}`),
        }),
      ],
    );
  test.each([
    [1000, true],
    [1001, false],
  ])('of %i endpoints say whose they are: %s', async (count, want) => {
    const text = await firstText({ name: '', family: 4 }, ports(count));
    expect(text.includes('--comment "ns/web:http -> ')).toBe(want);
    expect(text).toContain('--comment "ns/web:http cluster IP"');
  });
});
