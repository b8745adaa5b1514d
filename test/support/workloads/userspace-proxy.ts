/**
 * Services of the flow table by mode userspace in the namespace this runs in: prints `ready`, and ends
 * with its stdin. `node userspace-proxy.ts <settings>`
 */
import { openRtnl } from '../../../src/kernel/rtnl.ts';
import type { IP } from '../../../src/net/ip.ts';
import { Forwarder } from '../../../src/proxy/modes/userspace/forwarder.ts';
import { ForwardingSession } from '../../../src/proxy/modes/userspace/forwarding-session.ts';
import { Connections } from '../../../src/proxy/modes/userspace/limits.ts';
import { placeKey } from '../../../src/proxy/modes/userspace/places.ts';
import { Portals } from '../../../src/proxy/modes/userspace/portals.ts';
import { Traffic } from '../../../src/proxy/modes/userspace/traffic.ts';
import { UdpFlows } from '../../../src/proxy/modes/userspace/udp-flows.ts';
import {
  removeVirtualAddresses,
  VirtualAddresses,
} from '../../../src/proxy/modes/userspace/virtual-addresses.ts';
import { systemClock } from '../../../src/util/clock.ts';
import type { SettingsName } from '../flows/flow.ts';
import { IPV4, IPV6, type Net } from '../flows/net.ts';
import { localAddresses, NODE, SERVICE_CIDRS, settingsOf } from '../flows/settings.ts';
import { flowTable } from '../flows/table.ts';
import { createProxy } from '../proxy-lab.ts';

const LIMITS = {
  connections: 1000,
  connectionsPerService: 1000,
  udpFlows: 1000,
  udpIdleMs: 60_000,
};
/** Nobody holds a port that they would have to lead around. */
const NO_TABLES = { hasTable: () => false, check: () => {}, commit: () => {} };
// The caller names one of them.
const settings = process.argv[2] as SettingsName;
const rtnl = openRtnl();
const connections = new Connections(LIMITS);
const flows = new UdpFlows({ idleMs: LIMITS.udpIdleMs, most: LIMITS.udpFlows, clock: systemClock });

const interfaceOf = (client: IP) => {
  const link = rtnl.routeTo(client)?.link;
  return link === undefined ? undefined : rtnl.linkByIndex(link)?.name;
};

async function serve(net: Net): Promise<Traffic> {
  const { family } = net;
  const { hasNodeObjects, ...options } = settingsOf(settings);
  const traffic = new Traffic({ family, connections, flows, clock: systemClock });
  const forwarder = new Forwarder({
    traffic,
    onFailure: (place, reason) => process.stderr.write(`${placeKey(place)}: ${reason}\n`),
  });
  const addresses = new VirtualAddresses(rtnl, family);
  const portals = new Portals(NO_TABLES, family);
  const proxy = createProxy(
    { fd: -1 },
    {
      ...options,
      families: [family],
      hasNodeObjects: () => hasNodeObjects,
      localAddresses: () => localAddresses(net),
      openSession: () => new ForwardingSession({ forwarder, addresses, portals, interfaceOf }),
    },
  );
  proxy.apply({ kind: 'node', now: NODE });
  proxy.apply({ kind: 'serviceCIDRs', cidrs: SERVICE_CIDRS });
  for (const { services, slices } of flowTable(net).filter((g) => g.settings === settings)) {
    for (const object of services) proxy.apply({ kind: 'service', now: object });
    for (const object of slices) proxy.apply({ kind: 'slice', now: object });
  }
  proxy.setSynced();
  await proxy.sync();
  return traffic;
}

for (const net of [IPV4, IPV6]) await serve(net);
process.stdout.write('ready\n');
process.once('SIGTERM', async () => {
  for (const family of [4, 6] as const) await removeVirtualAddresses(rtnl, family);
  process.exit();
});
