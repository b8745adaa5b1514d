/**
 * Carries out what same-node.ts decides under running pods, without losing a packet of theirs: the node answers
 * for all of them before the first port is isolated, and pods are told its hardware address in the place of each
 * other's right before and right after their ports are, since what they know may be minutes from being asked again.
 */
import type { NodeRtnl } from '../../kernel/types.ts';
import { joinErrors } from '../../util/errors.ts';
import { Turn } from '../../util/turns.ts';
import { attachmentLabel } from '../attachment.ts';
import type { AttachmentRecord } from '../attachment-records.ts';
import { forgetOwnQuestions, ignoreOwnQuestions } from '../bridge/own-addresses.ts';
import { deleteProxy, setProxy } from '../bridge/same-node.ts';
import { applySysctls } from '../bridge/sysctls.ts';
import { type UpkeepNode, withNftables, withRtnl } from '../node.ts';
import type { NodePlan, SysctlSetting } from '../node-plan.ts';
import type { Repair } from './repair-model.ts';
import type { Conversion, SameNodeFacts } from './same-node.ts';

/** What a call has done: pods that now go through the node, and what was wrong with those that did. */
export interface Routing {
  readonly converted: readonly Conversion[];
  readonly repairs: readonly Repair[];
}

/**
 * Has these pods send through the node; what is so already is left alone. Others have their turn between ports.
 * Goes on after a port that fails, and throws at the end: the next call does what is left.
 */
export async function routeSameNode(
  node: UpkeepNode,
  conversions: readonly Conversion[],
  facts: SameNodeFacts,
): Promise<Routing> {
  const repairs: Repair[] = [...answerForPods(node, conversions, facts)];
  const errors: unknown[] = [];
  const isRouted = ({ port }: Conversion) => port.port?.isolated === true;
  const routed = conversions.filter(isRouted);
  const turn = new Turn();
  for (const conversion of conversions.filter((each) => !isRouted(each))) {
    try {
      isolate(node, conversion, routed);
      routed.push(conversion);
      if (!isNew(conversion)) repairs.push(repairOf(`port ${conversion.port.name}`));
    } catch (thrown) {
      errors.push(thrown);
    }
    if (turn.isOver) await turn.next();
  }
  const converted = routed.filter(isNew);
  for (const { record, plan } of converted) node.records.amend(record.attachment, { plan });
  const error = joinErrors(errors, 'pods were not sent through the node');
  if (error !== undefined) throw error;
  return { converted, repairs };
}

/** Its record does not say yet that it goes through the node. */
function isNew({ record }: Conversion): boolean {
  return record.plan?.sameNode === undefined;
}

function repairOf(what: string): Repair {
  return { kind: 'sameNode', what };
}

/** Lets these pods' bridges send from port to port again, without loss; other pods must not need the node for it. */
export function switchSameNode(node: UpkeepNode, records: readonly AttachmentRecord[]): void {
  const plans = records.flatMap(({ attachment, plan }) => {
    if (plan?.sameNode === undefined) return [];
    const { sameNode, ...rest } = plan;
    // First, so that nobody isolates the port again.
    const change = { plan: { ...rest, host: { ...plan.host, isolated: false } } };
    node.records.amend(attachment, change);
    return [{ ...plan, sameNode }];
  });
  withRtnl(node.kernel, undefined, (host) => {
    for (const plan of plans) {
      const port = host.link(plan.host.name);
      if (port?.port?.isolated === true) host.changeBridgePort(port.index, { isolated: false });
    }
    for (const { sameNode } of plans) {
      const index = host.link(sameNode.link)?.index;
      if (index === undefined) continue;
      for (const address of sameNode.proxied) deleteProxy(host, index, address);
    }
  });
  const links = new Set(plans.map(({ sameNode }) => sameNode.link));
  for (const link of links) applySysctls(node.kernel.sysctls, undefined, switchesOff(link));
  const addresses = plans.flatMap(({ sameNode }) => sameNode.proxied);
  withNftables(node.kernel, (nft) => forgetOwnQuestions(nft, addresses));
}

/** The order is that of ADD: nobody meets an answer for an address of its own. */
function answerForPods(
  node: UpkeepNode,
  conversions: readonly Conversion[],
  { proxies }: SameNodeFacts,
): readonly Repair[] {
  const { kernel } = node;
  const repairs: Repair[] = [];
  const settings = new Map(
    conversions.flatMap(({ plan }) => plan.sameNode?.sysctls ?? []).map((one) => [one.path, one]),
  );
  const recorded = new Set(
    conversions
      .flatMap(({ record }) => record.plan?.sameNode?.sysctls ?? [])
      .map(({ path }) => path),
  );
  for (const setting of wrongSettings(node, [...settings.values()])) {
    applySysctls(kernel.sysctls, undefined, [setting]);
    if (recorded.has(setting.path)) repairs.push(repairOf(setting.path));
  }
  const present = new Set(proxies.map(({ link, address }) => `${link} ${address}`));
  withRtnl(kernel, undefined, (host) => {
    for (const conversion of conversions) {
      const { plan, gateway, record } = conversion;
      const { sameNode } = plan;
      if (sameNode === undefined) continue;
      const missing = sameNode.proxied.filter((one) => !present.has(`${gateway.index} ${one}`));
      const isWanting = isNew(conversion) ? sameNode.proxied.length > 0 : missing.length > 0;
      if (!isWanting || !isStillThere(record, node)) continue;
      const label = attachmentLabel(record.attachment);
      withNftables(kernel, (nft) => ignoreOwnQuestions(nft, sameNode, label));
      for (const address of missing) {
        setProxy(host, gateway.index, address);
        if (!isNew(conversion)) repairs.push(repairOf(`${gateway.name} answers for ${address}`));
      }
    }
  });
  return repairs;
}

/** Its DEL may have come since the record was read. */
export function isStillThere(
  { attachment, createdAtMs }: AttachmentRecord,
  node: UpkeepNode,
): boolean {
  if (node.journal.isUnfinished(attachment)) return false;
  return node.records.read(attachment)?.createdAtMs === createdAtMs;
}

/** Those that say something else; one that is not there counts only where it has to be. */
export function wrongSettings(
  { kernel }: Pick<UpkeepNode, 'kernel'>,
  settings: readonly SysctlSetting[],
): readonly SysctlSetting[] {
  return settings.filter(({ path, value, isOptional }) => {
    const present = kernel.sysctls.read(undefined, path);
    return present !== value && (present !== undefined || isOptional !== true);
  });
}

/** Only what goes from one isolated port to another is lost, so it is them that are told. */
function isolate(
  { kernel }: UpkeepNode,
  conversion: Conversion,
  routed: readonly Conversion[],
): void {
  const others = routed.filter(({ port }) => port.master === conversion.port.master);
  const told = others.flatMap((other) => [
    ...announcementsOf(conversion, other),
    ...announcementsOf(other, conversion),
  ]);
  withRtnl(kernel, undefined, (host) => {
    kernel.announce(told);
    isolatePort(host, conversion.plan, conversion.port.index);
    kernel.announce(told);
  });
}

/** A pod that has gone meanwhile needs nothing. */
function isolatePort(host: NodeRtnl, { host: { name } }: NodePlan, index: number): void {
  if (host.link(name)?.index === index) host.changeBridgePort(index, { isolated: true });
}

/** That `of` is to be reached through the node, told to `to`. */
function announcementsOf(of: Conversion, to: Conversion) {
  const { mac } = of.gateway;
  if (mac === undefined) return [];
  return of.record.addresses.map((address) => ({ link: to.port.index, address, mac }));
}

/** What a link was given that others could notice; its delays are of no use without. */
function switchesOff(link: string): readonly SysctlSetting[] {
  return [
    { path: `net/ipv4/conf/${link}/proxy_arp_pvlan`, value: '0', isOptional: true },
    { path: `net/ipv6/conf/${link}/proxy_ndp`, value: '0', isOptional: true },
  ];
}
