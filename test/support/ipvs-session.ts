/** Sessions of the IPVS mode over a kernel in memory. */
import { parseCidr } from '../../src/net/cidr.ts';
import { parseIP } from '../../src/net/ip.ts';
import { IpvsSession, type IpvsSessionOptions } from '../../src/proxy/modes/ipvs/ipvs-session.ts';
import { KnownState } from '../../src/proxy/modes/ipvs/known.ts';
import type { SessionSettings } from '../../src/proxy/session.ts';
import type { ResolvedPort } from '../../src/proxy/state.ts';
import type { FakeIpvsKernel } from './fake-ipvs.ts';
import { settingsOf } from './iptables-lab.ts';
import { resolveAll } from './iptables-objects.ts';
import { service, slice } from './proxy-objects.ts';

export function openIpvsSession(
  kernel: FakeIpvsKernel,
  options: Partial<IpvsSessionOptions> = {},
): IpvsSession {
  return new IpvsSession({
    kernel,
    known: new KnownState(),
    masqueradeBit: 14,
    scheduling: { scheduler: 'rr' },
    excludeCIDRs: [],
    onRefusedDestination: () => {},
    onMissingScheduler: () => {},
    ...options,
  });
}

/** NodePorts on these addresses only. */
export function listedSettings(family: 4 | 6, ...addresses: readonly string[]): SessionSettings {
  const { layout } = settingsOf(family);
  const serviceCIDRs = ['172.30.0.0/16', 'fd00:172::/112'].map(parseCidr);
  return {
    layout: { ...layout, acceptsOnAllAddresses: false, serviceCIDRs },
    nodePortIPs: addresses.map(parseIP),
  };
}

/** Services of one port, TCP 80 by default, by name, with the addresses behind them; clusterIPs in their order. */
export function clusterOf(
  services: Readonly<Record<string, readonly string[]>>,
  spec: Parameters<typeof service>[2] = {},
  annotations?: Parameters<typeof service>[3],
): ReadonlyMap<string, readonly ResolvedPort[]> {
  const names = Object.keys(services);
  const { name, protocol } = { name: 'http', protocol: 'TCP' as const, ...spec.ports?.[0] };
  const ports = [{ name, protocol, port: 8080 }];
  return resolveAll(
    4,
    names.map((each, i) => service(each, `172.30.0.${i + 1}`, spec, annotations)),
    names.map((each) => slice({ service: each, endpoints: services[each] ?? [], ports })),
  );
}
