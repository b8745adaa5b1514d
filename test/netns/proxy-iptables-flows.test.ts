import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type SettingsName, wantText } from '../support/flows/flow.ts';
import { worldOf } from '../support/flows/model.ts';
import { IPV4, IPV6, type Net } from '../support/flows/net.ts';
import { type FlowResult, type NetFlow, packetAnswer, tryFlows } from '../support/flows/probing.ts';
import { flowTable } from '../support/flows/table.ts';
import { kernelRules, openSession, programWorld, VARIANTS } from '../support/iptables-lab.ts';
import { createProxyLab, type ProxyLab } from '../support/proxy-lab.ts';

const NETS = [IPV4, IPV6];
const SETTINGS: readonly SettingsName[] = [
  'base',
  'byBridge',
  'noDetector',
  'masqueradeAll',
  'noDetectorMasqueradeAll',
  'primaryNodePorts',
  'listedNodePorts',
];

let lab: ProxyLab;

beforeAll(async () => {
  lab = await createProxyLab();
});

afterAll(() => lab.remove());

/**
 * As in kube-proxy's iptables mode, addresses of the Service networks that no rule names are left to
 * the routing: another port of a clusterIP, and an address that nobody has.
 */
const LEFT_TO_ROUTING = [
  'clusterIP: port of another Service',
  'clusterIP: the same from the node',
  'clusterIP: the same from outside',
  'clusterIP: nobody has the address',
  'protocols: UDP to a port that is TCP',
];

/** Nobody but Services listens on the ports that the flows visit: what passes by is refused. */
function wanted({ flow }: NetFlow): string {
  return flow.want === 'pass' ? 'reject' : wantText(flow.want);
}

test('what is left to the routing is in the table', () => {
  const names = flowTable(IPV4).flatMap(({ name, flows }) =>
    flows.map((flow) => `${name}: ${flow.name}`),
  );
  expect(LEFT_TO_ROUTING.filter((name) => !names.includes(name))).toEqual([]);
});

describe.each(VARIANTS)('iptables-%s', (variant) => {
  const program = async (net: Net, settings: SettingsName) => {
    const session = openSession(await kernelRules(lab.node, variant, net.family));
    await programWorld(session, worldOf(flowTable(net), settings, net), net.family);
  };

  afterAll(() => {
    const other = (table: string) => ['-t', table, '-F'];
    for (const program of ['iptables', 'ip6tables']) {
      for (const table of ['nat', 'filter', 'mangle']) {
        lab.node.run(`${program}-${variant}`, ...other(table));
      }
    }
  });

  describe.each(SETTINGS)('%s', (settings) => {
    const rows = NETS.flatMap((net) =>
      flowTable(net)
        .filter((group) => group.settings === settings)
        .flatMap(({ name, flows }) =>
          flows
            .filter(({ protocol }) => protocol !== 'sctp')
            .filter((flow) => !LEFT_TO_ROUTING.includes(`${name}: ${flow.name}`))
            .map((flow) => ({ title: `IPv${net.family}, ${name}: ${flow.name}`, net, flow })),
        ),
    );
    let results: readonly FlowResult[];

    beforeAll(async () => {
      await Promise.all(NETS.map((net) => program(net, settings)));
      results = await tryFlows(lab, rows);
    });

    test.each(rows.map((row, i) => ({ ...row, i })))('$title', (row) => {
      const answer = packetAnswer(results[row.i] ?? {}, row);
      expect(typeof answer === 'string' ? answer : wantText(answer)).toBe(wanted(row));
    });
  });
});
