import { buildRangeSets } from '../../ipam/range-config.ts';
import { addressOf } from '../../net/cidr.ts';
import { runAll } from '../../util/errors.ts';
import { type HostLocalAddresses, parseHostLocal } from '../address-config.ts';
import { parseTeardownConfig } from '../bridge/config.ts';
import { parseRawConfig } from '../bridge/raw-config.ts';
import { netnsIdAt } from '../machine.ts';
import type { Lease } from '../node.ts';
import type { IpamPlugin, PluginCall } from '../plugin.ts';
import { parseCniArgs, podOf } from '../protocol/args.ts';
import { CNI_ERROR_CODE, CniError } from '../protocol/errors.ts';
import { isJsonObject, memberOf } from '../protocol/json.ts';
import type { Request } from '../protocol/request.ts';

/** Address reservations for the plugin that executes us; its configuration arrives unchanged. */
export const hostLocal: IpamPlugin = {
  name: 'host-local',
  add: ({ request, node, attachment }, undo) => {
    const { ipam, routes, requestedIPs } = parseConfig(request);
    const { cniVersion } = request;
    const lease = node.ipam.reserve(attachment, ipam, { requestedIPs, cniVersion });
    undo.push(() => node.ipam.release(attachment, ipam.dataDir));
    rememberLease({ request, node, attachment }, lease, ipam.dataDir);
    undo.push(() => node.records?.remove(attachment));
    const addresses = lease.ips.map(({ address }) => addressOf(address));
    node.policies?.admit(podOf(request.args), addresses);
    return { interfaces: [], ips: lease.ips, routes, dns: lease.dns };
  },
  del: ({ request, node, attachment }) => {
    node.ipam.release(attachment, parseTeardownConfig(request.config).dataDir);
    node.records?.remove(attachment);
  },
  check: ({ request, node, attachment }) => {
    const { ipam } = parseConfig(request);
    if (node.ipam.held(attachment, ipam.dataDir).length > 0) return;
    throw new Error(
      `host-local: Failed to find address added by container ${attachment.containerId}`,
    );
  },
  status: ({ request, node }) => {
    const { ipam } = parseConfig(request);
    node.ipam.status(request.network, ipam, { cniVersion: request.cniVersion });
  },
  checkConfig: (request) => {
    const { ipam } = parseConfig(request);
    buildRangeSets(request.cniVersion, ipam, ipam.ipRanges ?? []);
  },
  gc: ({ request, node, isValid, isValidContainer }) => {
    const { dataDir } = parseTeardownConfig(request.config);
    const { network } = request;
    const stale = node.ipam.owners(network, dataDir).filter(({ containerId, ifName }) => {
      return ifName === undefined
        ? !isValidContainer(containerId)
        : !isValid({ containerId, ifName });
    });
    const release = ({ containerId, ifName }: (typeof stale)[number]) => {
      const attachment = { network, containerId, ifName: ifName ?? '' };
      node.ipam.release(attachment, dataDir);
      node.records?.remove(attachment);
    };
    runAll(
      stale.map((owner) => () => release(owner)),
      `GC of addresses of network ${network} was not complete`,
    );
  },
};

/** Of a namespace that can be seen from here, so that a missed DEL is noticed. */
function rememberLease(
  { request, node, attachment }: PluginCall,
  { ips }: Lease,
  dataDir: string | undefined,
): void {
  const id = netnsIdAt(request.netnsPath);
  if (id === undefined) return;
  node.records?.write({
    attachment,
    netns: { path: request.netnsPath, id },
    pod: podOf(request.args),
    addresses: ips.map(({ address }) => addressOf(address)),
    ipam: { type: 'host-local', ...(dataDir === undefined ? {} : { dataDir }) },
  });
}

/** Only what concerns addresses is looked at: the rest is the calling plugin's, whichever it is. */
function parseConfig(request: Request): HostLocalAddresses {
  const ipam = memberOf(request.config, 'ipam');
  if (!isJsonObject(ipam)) {
    throw new CniError(CNI_ERROR_CODE.invalidNetworkConfig, "IPAM config missing 'ipam' key");
  }
  const { cni } = membersOf(memberOf(request.config, 'args'), 'cni');
  const raw = parseRawConfig({
    ipam: withoutType(ipam),
    runtimeConfig: membersOf(memberOf(request.config, 'runtimeConfig'), 'ips', 'ipRanges'),
    args: { cni: membersOf(cni, 'ips') },
  });
  return parseHostLocal(raw, parseCniArgs(request.args));
}

function withoutType(ipam: Readonly<Record<string, unknown>>) {
  return Object.fromEntries(Object.entries(ipam).filter(([key]) => key.toLowerCase() !== 'type'));
}

/** The named members of a value, whatever their case; none when it is no object. */
function membersOf(value: unknown, ...names: readonly string[]): Readonly<Record<string, unknown>> {
  if (!isJsonObject(value)) return {};
  const found = names.map((name) => [name, memberOf(value, name)] as const);
  return Object.fromEntries(found.filter(([, member]) => member !== undefined));
}
