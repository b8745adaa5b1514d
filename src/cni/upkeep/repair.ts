import type { LinkEvent } from '../../kernel/link-monitor.ts';
import type { Link, NodeRtnl } from '../../kernel/types.ts';
import { healTable } from '../../nftables/heal-table.ts';
import { tableText } from '../../nftables/text.ts';
import { assertNever, joinErrors } from '../../util/errors.ts';
import { ensureBridge } from '../bridge/ensure-bridge.ts';
import { linkAddress } from '../bridge/gateway-addresses.ts';
import { configurePort, ensureVlanGateway } from '../bridge/port.ts';
import { applySysctls } from '../bridge/sysctls.ts';
import { type CniNode, withRtnl } from '../node.ts';
import type { NodePlan, SysctlSetting } from '../node-plan.ts';
import { repairHostPorts } from '../portmap/repair.ts';
import { repairForward, repairIsolation } from './forward-repair.ts';
import { decideLinkRepairs, type LinkRepair } from './links.ts';
import { repairMasquerade } from './masquerade.ts';
import { livingRecords, plansOf, type Repair, type RepairOptions } from './repair-model.ts';
import { guardsOf, ownAddressesOf } from './tables.ts';

/**
 * Brings back what ADDs have made on the node and somebody has changed since, as the records of this
 * boot say. Changes nothing when all is well. Goes on after a failure; `error` then tells all.
 */
export function repair(options: RepairOptions): {
  readonly repairs: readonly Repair[];
  readonly error: Error | undefined;
  /** Tables of iptables are looked at, too. */
  readonly usesIptables: boolean;
} {
  const { node } = options;
  const records = livingRecords(options);
  const plans = plansOf(records);
  const repairs: Repair[] = [];
  const errors: unknown[] = [];
  const attempt = (step: () => readonly Repair[]) => {
    try {
      repairs.push(...step());
    } catch (thrown) {
      errors.push(thrown);
    }
  };
  attempt(() => repairForwarding(node, plans));
  attempt(() => repairMasquerade(options));
  attempt(() => repairGuards(options));
  attempt(() => repairForward(options));
  attempt(() => repairIsolation(options));
  attempt(() => repairPorts(options));
  withRtnl(node.kernel, undefined, (host) => {
    const found = { links: host.links(), addresses: host.addresses() };
    for (const step of decideLinkRepairs(found, records)) {
      attempt(() => [repairLink(step, host, node)]);
    }
  });
  const usesIptables = records.some(({ forwarded }) => forwarded !== undefined);
  return { repairs, error: joinErrors(errors, 'repair was not complete'), usesIptables };
}

/**
 * Whether a change of the node may concern a pod: a lost bridge, port or address, or forwarding that
 * was switched. Of links and addresses, pods that come make no such event, and those that go make few.
 * Pure.
 */
export function mayNeedRepair(event: LinkEvent): boolean {
  switch (event.kind) {
    case 'address':
      return event.isGone;
    case 'link':
      return mayBeBroken(event.link, event.isGone);
    case 'forwarding':
      return true;
    case 'port':
      return false;
  }
}

/** The node's ends of pods' pairs, as we name them. */
export const HOST_VETH = /^veth[0-9a-f]{8}$/;

/** A pair that is gone cannot be put right; a port without a bridge can. */
function mayBeBroken({ kind, name, isUp, master }: Link, isGone: boolean): boolean {
  if (kind === 'bridge') return isGone || !isUp;
  const isPort = kind === 'veth' && HOST_VETH.test(name);
  return isPort && !isGone && (!isUp || master === undefined);
}

/** Sysctls of these pods that somebody has set otherwise. */
export function wrongForwarding(
  { sysctls }: CniNode['kernel'],
  plans: readonly NodePlan[],
): readonly SysctlSetting[] {
  const settings = new Map(
    plans.flatMap(({ forwarding }) => forwarding).map((setting) => [setting.path, setting]),
  );
  return [...settings.values()].filter(({ path, value }) => {
    return sysctls.read(undefined, path) !== value;
  });
}

function repairForwarding({ kernel }: CniNode, plans: readonly NodePlan[]): readonly Repair[] {
  return wrongForwarding(kernel, plans).map((setting) => {
    applySysctls(kernel.sysctls, undefined, [setting]);
    return { kind: 'forwarding', what: setting.path };
  });
}

function repairGuards(options: RepairOptions): readonly Repair[] {
  return [guardsOf, ownAddressesOf].flatMap((wantedOf): readonly Repair[] => {
    const healed = healTable(options.connection, () => wantedOf(plansOf(livingRecords(options))));
    if (healed === undefined) return [];
    return [{ kind: 'guard', what: tableText(healed.definition.table) }];
  });
}

function repairPorts({ node, connection }: RepairOptions): readonly Repair[] {
  if (node.hostPorts.records().length === 0) return [];
  const { sysctls } = node.kernel;
  const { isTableReplaced, links } = repairHostPorts({
    connection,
    store: node.hostPorts,
    sysctls,
  });
  return [
    ...(isTableReplaced ? [{ kind: 'hostPorts', what: 'inet weft-hostports' } as const] : []),
    ...links.map((link) => ({ kind: 'hostPorts', what: `route_localnet of ${link}` }) as const),
  ];
}

function repairLink(step: LinkRepair, host: NodeRtnl, { kernel }: CniNode): Repair {
  switch (step.kind) {
    case 'bridge':
      ensureBridge(host, kernel.sysctls, step.plan);
      return { kind: 'bridge', what: step.plan.name };
    case 'vlanGateway':
      restoreGateway(step, host, kernel);
      return { kind: 'bridge', what: step.plan.name };
    case 'up':
      host.changeLink(requireLink(host, step.link).index, { isUp: true });
      return { kind: 'bridge', what: step.link };
    case 'address':
      host.addAddress(requireLink(host, step.link).index, linkAddress(step.address));
      return { kind: 'address', what: `${step.address} on ${step.link}` };
    case 'port': {
      const port = requireLink(host, step.plan.name);
      const master = requireLink(host, step.bridge).index;
      // On a bridge it is not isolated yet: until it is, nothing passes.
      const isShut = step.plan.isolated && port.master !== master;
      host.changeLink(port.index, { master, isUp: !isShut });
      configurePort(host, kernel.sysctls, port, step.plan);
      if (isShut) host.changeLink(port.index, { isUp: true });
      return { kind: 'port', what: step.plan.name };
    }
    default:
      return assertNever(step, 'link repair');
  }
}

/** VLANs of its port went with the bridge: they are set when it has one again. */
function restoreGateway(
  { bridge, plan }: Extract<LinkRepair, { kind: 'vlanGateway' }>,
  host: NodeRtnl,
  kernel: CniNode['kernel'],
): void {
  const { index } = requireLink(host, bridge);
  const port = host.link(plan.port.name);
  if (port !== undefined && port.master !== index) {
    host.changeLink(port.index, { master: index, isUp: true });
  }
  ensureVlanGateway(host, kernel, plan, requireLink(host, bridge));
}

function requireLink(host: NodeRtnl, name: string): Link {
  const link = host.link(name);
  if (link === undefined) throw new Error(`link "${name}" vanished`);
  return link;
}
