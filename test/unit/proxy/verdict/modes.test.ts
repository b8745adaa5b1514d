/**
 * The model of each mode says what packets do in it: `wantIn` is what the tests with packets assert.
 */
import { describe, expect, test } from 'vitest';
import { parseIP } from '../../../../src/net/ip.ts';
import { decide } from '../../../../src/proxy/verdict/decide.ts';
import { MODE_TRAITS } from '../../../../src/proxy/verdict/mode-traits.ts';
import type { World } from '../../../../src/proxy/verdict/world.ts';
import { MODES, wantIn } from '../../../support/flows/differences.ts';
import { wantText } from '../../../support/flows/flow.ts';
import { modelAnswer, worldOf } from '../../../support/flows/model.ts';
import { IPV4, IPV6 } from '../../../support/flows/net.ts';
import { nameOf, rowsOf, SETTINGS } from '../../../support/flows/rows.ts';
import { flowTable } from '../../../support/flows/table.ts';

describe.each(MODES)('%s', (mode) => {
  const traits = MODE_TRAITS[mode];
  const leavesSome = Object.values(traits.leavesToRouting).includes(true);

  describe.each([IPV4, IPV6])('IPv$family', (net) => {
    test.each(SETTINGS)('%s', (settings) => {
      const world = worldOf(flowTable(net), settings, net, mode);
      const rows = rowsOf(settings).filter((row) => row.net === net);
      const wrong = rows.flatMap((row) => {
        const want = wantIn(mode, row);
        const answer = modelAnswer(world, row.flow, net);
        // No route of the tests leads to an address that nobody has.
        const isLost = leavesSome && answer === 'pass' && want === 'drop';
        if (isLost || wantText(answer) === wantText(want)) return [];
        return [`${nameOf(row)}: ${wantText(answer)}, not ${wantText(want)}`];
      });
      expect(wrong).toEqual([]);
    });
  });
});

test.each([
  { mode: 'nftables', otherPort: 'reject', unused: 'drop' },
  { mode: 'iptables', otherPort: 'pass', unused: 'pass' },
  { mode: 'ipvs', otherPort: 'reject', unused: 'drop' },
  { mode: 'userspace', otherPort: 'reject', unused: 'pass' },
] as const)('what nobody serves in mode $mode', ({ mode, otherPort, unused }) => {
  const world = worldOf(flowTable(IPV4), 'base', IPV4, mode);
  const [clusterIP = parseIP('0.0.0.0')] = world.clusterIPs.keys();
  const ask = (destination: string) =>
    decide(
      {
        source: parseIP(IPV4.client),
        destination: parseIP(destination),
        protocol: 'tcp',
        port: 65_000,
      },
      world,
    ).verdict.kind;
  expect([ask(clusterIP), ask('172.30.255.254')]).toEqual([otherPort, unused]);
});

describe('pods that the CNI plugins masquerade', () => {
  const podMasquerades = new Map([[parseIP(IPV4.client), []]]);
  const sources = (change: Partial<World>) => {
    const world = { ...worldOf(flowTable(IPV4), 'base', IPV4), ...change };
    const flow = rowsOf('base').find(
      ({ net, flow: { from, want } }) =>
        net === IPV4 && from === 'client' && wantText(want) === 'a own, b own, remote own',
    )?.flow;
    if (flow === undefined) throw new Error('no such flow');
    return wantText(modelAnswer(world, flow, IPV4));
  };

  test('are seen under the node’s address by endpoints outside their networks', () => {
    expect(sources({ podMasquerades })).toBe('a node, b node, remote node');
  });

  test('keep their address in their networks, and towards the node itself', () => {
    const networks = worldOf(flowTable(IPV4), 'base', IPV4).localDetector;
    const cidrs = networks?.kind === 'cidrs' ? networks.cidrs : [];
    const kept = new Map([[parseIP(IPV4.client), cidrs]]);
    expect(sources({ podMasquerades: kept })).toBe('a own, b own, remote own');
    const localAddresses = [IPV4.podA, IPV4.podB].map(parseIP);
    expect(sources({ podMasquerades, localAddresses })).toBe('a own, b own, remote node');
  });
});
