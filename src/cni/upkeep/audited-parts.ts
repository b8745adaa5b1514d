/** What the node is compared in with its records, a piece at a time. */
import type { Rtnl } from '../../kernel/types.ts';
import { tableDifferences } from '../../nftables/heal-table.ts';
import type { AuditedPart } from '../../util/audit.ts';
import type { AttachmentRecord } from '../attachment-records.ts';
import { withRtnl } from '../node.ts';
import type { NodePlan, VlanGatewayPlan } from '../node-plan.ts';
import { hostPortDifferences } from '../portmap/repair.ts';
import { forwardDifferences, isolationOf } from './forward-repair.ts';
import { decideLinkRepairs, type NodeLinks } from './links.ts';
import { masqueradeDifferences } from './masquerade.ts';
import { wrongForwarding } from './repair.ts';
import { livingRecords, plansOf, type RepairOptions } from './repair-model.ts';
import { guardsOf, ownAddressesOf } from './tables.ts';

/** Reading one takes up to 0.15 ms. */
const RECORDS_PER_LOOK = 32;

type Look = (options: RepairOptions, records: readonly AttachmentRecord[]) => number;

const LOOKS: readonly (readonly [what: string, look: Look])[] = [
  ['bridges, ports and their addresses', lookAtLinks],
  ['forwarding', ({ node }, records) => wrongForwarding(node.kernel, plansOf(records)).length],
  ['masquerading', masqueradeDifferences],
  [
    'checks of senders',
    ({ connection }, records) => {
      const plans = plansOf(records);
      const guards = tableDifferences(connection, guardsOf(plans));
      return guards + tableDifferences(connection, ownAddressesOf(plans));
    },
  ],
  ['firewall rules', lookAtFirewall],
];

/**
 * Everything that repair can put right, for a walk that begins now: of so many attachments at a time
 * one kind. None as long as there are no attachments. `onRecords` is told of what a look has read.
 */
export function auditedParts(
  options: RepairOptions,
  onRecords: (records: readonly AttachmentRecord[]) => void,
): readonly AuditedPart[] {
  const keys = options.node.records.keys();
  const partOf = (own: readonly string[]) =>
    LOOKS.map(([what, look]): AuditedPart => {
      return {
        what,
        look: async () => {
          const records = livingRecords(options, own);
          onRecords(records);
          return look(options, records);
        },
      };
    });
  return [...groupsOf(keys).flatMap(partOf), ...hostPortParts(options)];
}

function hostPortParts({ node, connection }: RepairOptions): readonly AuditedPart[] {
  const { hostPorts: store, kernel } = node;
  if (store.records().length === 0) return [];
  const look = async () => hostPortDifferences({ connection, store, sysctls: kernel.sysctls });
  return [{ what: 'host ports', look }];
}

function lookAtLinks({ node }: RepairOptions, records: readonly AttachmentRecord[]): number {
  return withRtnl(node.kernel, undefined, (host) => {
    return decideLinkRepairs(linksOf(host, plansOf(records)), records).length;
  });
}

/** Only those of these plans, and the bridge that a port is on: a list of all takes 0.1 ms for each. */
function linksOf(host: Rtnl, plans: readonly NodePlan[]): NodeLinks {
  const gateways = plans.flatMap(({ vlanGateway }) => vlanGateway ?? []);
  const holders = new Set([...plans.map(({ bridge }) => bridge), ...gateways].map(nameOf));
  const ports = new Set([...plans.map((plan) => plan.host), ...gateways.map(portOf)].map(nameOf));
  const named = [...holders, ...ports].flatMap((name) => host.link(name) ?? []);
  const known = new Set(named.map(({ index }) => index));
  const masters = new Set(named.flatMap(({ master }) => master ?? []));
  const renamed = [...masters].filter((index) => !known.has(index));
  return {
    links: [...named, ...renamed.flatMap((index) => host.linkByIndex(index) ?? [])],
    addresses: named
      .filter(({ name }) => holders.has(name))
      .flatMap(({ index }) => host.addresses(index)),
  };
}

const nameOf = ({ name }: { readonly name: string }) => name;
const portOf = ({ port }: VlanGatewayPlan) => port;

function lookAtFirewall(
  { connection }: RepairOptions,
  records: readonly AttachmentRecord[],
): number {
  const isolation = tableDifferences(connection, isolationOf(records));
  return isolation + forwardDifferences(connection, records);
}

function groupsOf(keys: readonly string[]): readonly (readonly string[])[] {
  const count = Math.ceil(keys.length / RECORDS_PER_LOOK);
  return Array.from({ length: count }, (_, i) => {
    return keys.slice(i * RECORDS_PER_LOOK, (i + 1) * RECORDS_PER_LOOK);
  });
}
