import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ServiceProxy } from '../../src/proxy/service-proxy.ts';
import { type SettingsName, wantText } from '../support/flows/flow.ts';
import { IPV4, IPV6 } from '../support/flows/net.ts';
import { type FlowResult, type NetFlow, packetAnswer, tryFlows } from '../support/flows/probing.ts';
import { localAddresses, NODE, SERVICE_CIDRS, settingsOf } from '../support/flows/settings.ts';
import { flowTable } from '../support/flows/table.ts';
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

/** Nobody but Services listens on the ports that the flows visit: what passes by is refused. */
function wanted({ flow }: NetFlow): string {
  return flow.want === 'pass' ? 'reject' : wantText(flow.want);
}

/** The proxies, one per family: Services of both have the same names. */
async function startProxies(settings: SettingsName): Promise<readonly ServiceProxy[]> {
  const { hasNodeObjects, ...options } = settingsOf(settings);
  return Promise.all(
    NETS.map(async (net) => {
      const proxy = lab.proxy({
        ...options,
        families: [net.family],
        hasNodeObjects: () => hasNodeObjects,
        localAddresses: () => localAddresses(net),
      });
      const groups = flowTable(net).filter((group) => group.settings === settings);
      proxy.onNodeAdd(NODE);
      proxy.onServiceCIDRs(SERVICE_CIDRS);
      for (const { services, slices } of groups) {
        for (const object of services) proxy.onServiceAdd(object);
        for (const object of slices) proxy.onEndpointSliceAdd(object);
      }
      proxy.setSynced();
      await proxy.sync();
      return proxy;
    }),
  );
}

describe.each(SETTINGS)('%s', (settings) => {
  const rows = NETS.flatMap((net) =>
    flowTable(net)
      .filter((group) => group.settings === settings)
      .flatMap(({ name, flows }) =>
        flows
          .filter(({ protocol }) => protocol !== 'sctp')
          .map((flow) => ({ title: `IPv${net.family}, ${name}: ${flow.name}`, net, flow })),
      ),
  );
  let results: readonly FlowResult[];

  beforeAll(async () => {
    const proxies = await startProxies(settings);
    lab.forgetFlows();
    results = await tryFlows(lab, rows);
    for (const proxy of proxies) await proxy.stop();
  });

  test.each(rows.map((row, i) => ({ ...row, i })))('$title', (row) => {
    const answer = packetAnswer(results[row.i] ?? {}, row);
    expect(typeof answer === 'string' ? answer : wantText(answer)).toBe(wanted(row));
  });
});
