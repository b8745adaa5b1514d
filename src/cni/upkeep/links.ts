/** What repair does to links: a decision on what is there and what records say. */
import type { Link, LinkAddress } from '../../kernel/types.ts';
import { addressOf, type IPWithPrefix } from '../../net/cidr.ts';
import type { AttachmentRecord } from '../attachment-records.ts';
import type { BridgePlan, NodePlan, PortPlan, VlanGatewayPlan } from '../node-plan.ts';

export type LinkRepair =
  | { readonly kind: 'bridge'; readonly plan: BridgePlan }
  | { readonly kind: 'vlanGateway'; readonly bridge: string; readonly plan: VlanGatewayPlan }
  | { readonly kind: 'up'; readonly link: string }
  | { readonly kind: 'address'; readonly link: string; readonly address: IPWithPrefix }
  | { readonly kind: 'port'; readonly bridge: string; readonly plan: PortPlan };

/** Links of the node and their addresses. */
export interface NodeLinks {
  readonly links: readonly Link[];
  readonly addresses: readonly (Pick<LinkAddress, 'address'> & { readonly link: number })[];
}

/**
 * What is missing of bridges, gateways of VLANs and ports, in the order in which it can be put
 * right. Pods without their pair are passed over: nothing brings those back. Pure.
 */
export function decideLinkRepairs(
  { links, addresses }: NodeLinks,
  records: readonly AttachmentRecord[],
): readonly LinkRepair[] {
  const byName = new Map(links.map((link) => [link.name, link]));
  const plans = records
    .toSorted((a, b) => a.createdAtMs - b.createdAtMs)
    .flatMap(({ plan }) => (plan !== undefined && byName.has(plan.host.name) ? [plan] : []));
  const repairHolder = (plan: Holder): readonly LinkRepair[] => {
    const link = byName.get(plan.name);
    const present = addresses.filter((own) => own.link === link?.index);
    const missing = plan.addresses.filter((wanted) => {
      return !present.some(({ address }) => address === addressOf(wanted));
    });
    return [
      ...(link?.isUp === false ? [{ kind: 'up', link: plan.name } as const] : []),
      ...missing.map((address) => ({ kind: 'address', link: plan.name, address }) as const),
    ];
  };
  const isBridgeOf = ({ kind, index }: Link, own: readonly NodePlan[]) => {
    return kind === 'bridge' && own.some(({ host }) => byName.get(host.name)?.master === index);
  };
  return [...bridgesOf(plans).values()].flatMap((plan) => {
    const named = byName.get(plan.name);
    const own = plans.filter((other) => other.bridge.name === plan.name);
    // Somebody may have renamed it: a second one would have the same addresses, and no pods.
    const bridge = named ?? links.find((link) => isBridgeOf(link, own));
    const name = bridge?.name ?? plan.name;
    const isPort = ({ name }: { readonly name: string }) => {
      return bridge !== undefined && byName.get(name)?.master === bridge.index;
    };
    return [
      ...(bridge === undefined ? [{ kind: 'bridge', plan } as const] : []),
      ...(named === undefined ? [] : repairHolder(plan)),
      ...gatewaysOf(own).flatMap((gateway): readonly LinkRepair[] => {
        const isThere = byName.has(gateway.name) && isPort(gateway.port);
        if (isThere) return repairHolder(gateway);
        return [{ kind: 'vlanGateway', bridge: name, plan: gateway }];
      }),
      ...own.flatMap(({ host }): readonly LinkRepair[] => {
        const isRight = isPort(host) && isAsPlanned(byName.get(host.name), host);
        return isRight ? [] : [{ kind: 'port', bridge: name, plan: host }];
      }),
    ];
  });
}

/** A link that answers for gateway addresses. */
interface Holder {
  readonly name: string;
  readonly addresses: readonly IPWithPrefix[];
}

/** Each bridge once: as the youngest pod wants it, with the addresses that any of its pods uses. */
function bridgesOf(plans: readonly NodePlan[]): ReadonlyMap<string, BridgePlan> {
  const bridges = new Map<string, BridgePlan>();
  for (const { bridge } of plans) {
    const former = bridges.get(bridge.name);
    bridges.set(bridge.name, {
      ...bridge,
      addresses: union(former?.addresses, bridge.addresses),
      filtersVlans: bridge.filtersVlans || former?.filtersVlans === true,
      isPromiscuous: bridge.isPromiscuous || former?.isPromiscuous === true,
    });
  }
  return bridges;
}

function gatewaysOf(plans: readonly NodePlan[]): readonly VlanGatewayPlan[] {
  const gateways = new Map<string, VlanGatewayPlan>();
  for (const { vlanGateway: gateway } of plans) {
    if (gateway === undefined) continue;
    const former = gateways.get(gateway.name);
    const addresses = union(former?.addresses, gateway.addresses);
    gateways.set(gateway.name, { ...gateway, addresses });
  }
  return [...gateways.values()];
}

/** An address in two networks' prefixes counts once: the kernel holds it once. */
function union(
  former: readonly IPWithPrefix[] = [],
  more: readonly IPWithPrefix[],
): readonly IPWithPrefix[] {
  const byAddress = new Map([...former, ...more].map((address) => [addressOf(address), address]));
  return [...byAddress.values()];
}

/** Flags that a port loses when it leaves its bridge, or that somebody has changed. */
function isAsPlanned(link: Link | undefined, { hairpin, isolated }: PortPlan): boolean {
  if (link?.isUp !== true) return false;
  if (link.port === undefined) return true;
  return (!hairpin || link.port.hairpin) && (!isolated || link.port.isolated);
}
