/** How a node whose podCIDRs are subnet leases comes to them, and what of the fabric they decide. */
import { dirname, join } from 'node:path';
import { readBootId } from '../../cni/machine.ts';
import { openRecords } from '../../cni/upkeep/records.ts';
import { parseSubnetKey, type Subnets, subnetKey } from '../../fabric/subnets/lease.ts';
import type { NetworkConfig } from '../../fabric/subnets/network-config.ts';
import type { NodeRtnl } from '../../kernel/types.ts';
import { cidrFamily, containsIP, prefixLength } from '../../net/cidr.ts';
import { type IP, type IPFamily, ipFamily, tryParseIP } from '../../net/ip.ts';
import { toError } from '../../util/errors.ts';
import { readIfReadable, replaceFile, writingInto } from '../../util/files.ts';
import type { Logger } from '../../util/log.ts';
import type { ClusterContext } from '../cluster-context.ts';
import type { FabricSettings } from '../config/fabric-settings.ts';
import { SubnetKeeper } from './subnet-keeper.ts';

export interface NodeSubnets {
  /** The settings with what the network's configuration says. */
  readonly settings: (own: FabricSettings) => FabricSettings;
  /** Why there is no Node of this name yet. */
  readonly whyNoNode: () => string | undefined;
  /** Why new pods must not start although others run. */
  readonly barred: () => string | undefined;
  readonly problems: () => readonly string[];
  /** What is told of this node's lease has changed. */
  readonly look: () => void;
}

/** Of a node whose Node says what its podCIDRs are. */
const NO_SUBNETS: NodeSubnets = {
  ...{ settings: (own) => own, whyNoNode: () => undefined, barred: () => undefined },
  ...{ problems: () => [], look: () => {} },
};

export function openSubnets(
  context: ClusterContext,
  rtnl: Pick<NodeRtnl, 'addresses' | 'routes'>,
  onChange: () => void,
): NodeSubnets {
  const { config, clock, lifecycle, objects } = context;
  const { subnets } = objects;
  if (subnets === undefined) return NO_SUBNETS;
  const { nodeName, runDir, own } = config;
  const keeper = new SubnetKeeper({
    store: subnets.store,
    own: () => ({ nodeName, addresses: nodeAddresses(rtnl, subnets.nodeAddresses) }),
    former: formerSubnets(join(own.stateDir, 'subnet'), context.log),
    hasPodsIn: podsIn(runDir, () => clock.now()),
    ...{ onChange, clock, random: Math.random, signal: lifecycle.signal },
    log: context.log.child({ component: 'fabric' }),
  });
  lifecycle.onShutdown('subnet lease', () => keeper.stop());
  keeper.look();
  const notYet = 'this node has no subnet lease yet';
  return {
    settings: (settings) => withNetwork(settings, keeper.config),
    whyNoNode: () => keeper.problem ?? notYet,
    barred: () => keeper.barred,
    problems: () => (keeper.problem === undefined ? [] : [keeper.problem]),
    look: () => keeper.look(),
  };
}

/** All nodes have to agree about these, and some of them may be flannel's. */
function withNetwork(settings: FabricSettings, network: NetworkConfig | undefined): FabricSettings {
  if (network === undefined) return settings;
  const { backend, vni, tunnelPort, pools } = network;
  const networks = Object.values(pools).map((pool) => pool.network);
  const clusterCIDRs = settings.clusterCIDRs.length > 0 ? settings.clusterCIDRs : networks;
  return { ...settings, backend, vni, tunnelPort, clusterCIDRs };
}

/** Those that are configured, else as flannel the addresses of the links of the default routes. */
export function nodeAddresses(
  rtnl: Pick<NodeRtnl, 'addresses' | 'routes'>,
  configured: readonly string[],
): Partial<Record<IPFamily, IP>> {
  const found: Partial<Record<IPFamily, IP>> = {};
  for (const family of [4, 6] as const) {
    const given = configured
      .map(tryParseIP)
      .find((ip) => ip !== undefined && ipFamily(ip) === family);
    const ip = given ?? (configured.length > 0 ? undefined : defaultAddress(rtnl, family));
    if (ip !== undefined) found[family] = ip;
  }
  return found;
}

function defaultAddress(
  rtnl: Pick<NodeRtnl, 'addresses' | 'routes'>,
  family: IPFamily,
): IP | undefined {
  const metric = ({ priority = 0 }: { readonly priority?: number }) => priority;
  const [route] = rtnl
    .routes(family)
    .filter(({ destination }) => prefixLength(destination) === 0)
    .toSorted((a, b) => metric(a) - metric(b));
  if (route?.link === undefined) return undefined;
  return rtnl
    .addresses(route.link)
    .find(({ address, scope }) => ipFamily(address) === family && scope === 'global')?.address;
}

/** In a file, as its key: a node that was away for longer than a lease lives asks for the same again. */
function formerSubnets(path: string, log: Logger) {
  let known = parseSubnetKey(readIfReadable(path)?.trim() ?? '');
  return {
    read: () => known,
    write: (subnets: Subnets) => {
      if (known !== undefined && subnetKey(known) === subnetKey(subnets)) return;
      known = subnets;
      try {
        writingInto(dirname(path), () => {
          replaceFile(path, `${subnetKey(subnets)}\n`, { isDurable: true });
        });
      } catch (thrown) {
        log.warn(
          { file: path, reason: toError(thrown).message },
          'leased subnet not noted for later',
        );
      }
    },
  };
}

function podsIn(runDir: string, now: () => number): (subnets: Subnets) => boolean {
  const records = openRecords(join(runDir, 'attachments'), { bootId: readBootId, now });
  return (subnets) => {
    const isIn = (ip: IP) =>
      subnets.some(
        (cidr) => cidr !== undefined && cidrFamily(cidr) === ipFamily(ip) && containsIP(cidr, ip),
      );
    return records.list().some(({ addresses }) => addresses.some(isIn));
  };
}
