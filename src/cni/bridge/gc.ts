import type { NodeRtnl } from '../../kernel/types.ts';
import type { IP } from '../../net/ip.ts';
import { joinErrors } from '../../util/errors.ts';
import { type Attachment, hostVethName } from '../attachment.ts';
import { removeInvalidChains } from '../iptables/remove.ts';
import { type CniNode, type Nftables, withNftables, withRtnl } from '../node.ts';
import type { GcCall } from '../plugin.ts';
import { endFlowsOf } from '../upkeep/flows.ts';
import { parseTeardownConfig, type TeardownConfig } from './config.ts';
import { masqueraded, removeMasquerade } from './masquerade.ts';
import { forgetNeighbours } from './neighbours.ts';
import { forgetOwnQuestions } from './own-addresses.ts';
import { isHostLocal, requireForeign } from './reservations.ts';
import { guardedLabels, unguardNames } from './spoof.ts';

/** What an invalid attachment still has. */
interface Leftovers {
  readonly links: readonly number[];
  /** Of reservations and elements; only reservations are released. */
  readonly addresses: readonly IP[];
  readonly guardedPorts: readonly string[];
}

/**
 * GC: removes what the network's invalid attachments have: links, masquerading, guarded ports,
 * neighbours, reservations. An attachment is known by its label on the link or element, or by its
 * reservation; a link counts only when its name is the one that follows from the label. The order
 * is that of DEL.
 */
export function gc(call: GcCall): void {
  const { request, node } = call;
  const config = parseTeardownConfig(request.config);
  const errors: unknown[] = [];
  const attempt = (step: () => void) => {
    try {
      step();
    } catch (thrown) {
      errors.push(thrown);
    }
  };
  withRtnl(node.kernel, undefined, (host) => {
    withNftables(node.kernel, (nft) => {
      const found = findLeftovers(call, config, { host, nft });
      attempt(() => removeMasquerade(nft, found.addresses, false));
      attempt(() => unguardNames(nft, found.guardedPorts));
      attempt(() => forgetOwnQuestions(nft, found.addresses));
      attempt(() => host.deleteLinks(found.links));
      attempt(() => forgetNeighbours(host, config, found.addresses));
      attempt(() => endFlowsOf(node.kernel, found.addresses));
    });
  });
  attempt(() =>
    removeInvalidChains(node, (network, containerId) => {
      return network === request.network && !call.isValidContainer(containerId);
    }),
  );
  // While something may still answer for an address, nobody else is given it.
  if (errors.length === 0) attempt(() => releaseInvalid(call, config, attempt));
  const failure = joinErrors(errors, `GC of network ${request.network}`);
  if (failure !== undefined) throw failure;
}

/** Reads a label back; undefined for labels of other shape, such as those that were cut. */
function attachmentOfLabel(label: string): Attachment | undefined {
  const [network, containerId, ifName, ...rest] = label.split('/');
  if (network === undefined || containerId === undefined || ifName === undefined) return undefined;
  return rest.length > 0 ? undefined : { network, containerId, ifName };
}

function findLeftovers(
  call: GcCall,
  config: TeardownConfig,
  { host, nft }: { readonly host: NodeRtnl; readonly nft: Nftables },
): Leftovers {
  const isInvalid = (label: string | undefined) => {
    const attachment = label === undefined ? undefined : attachmentOfLabel(label);
    if (attachment?.network !== call.request.network) return false;
    return !call.isValid(attachment);
  };
  const links = host.links().filter(({ name, kind, alias = '' }) => {
    const attachment = kind === 'veth' ? attachmentOfLabel(alias) : undefined;
    return attachment !== undefined && hostVethName(attachment) === name && isInvalid(alias);
  });
  const masquerades = ([4, 6] as const)
    .flatMap((family) => masqueraded(nft, family))
    .filter(({ label }) => isInvalid(label));
  const reserved = invalidOwners(call, config).map(({ address }) => address);
  return {
    links: links.map(({ index }) => index),
    addresses: [...new Set([...masquerades.map(({ address }) => address), ...reserved])],
    guardedPorts: guardedLabels(nft)
      .filter(({ label }) => isInvalid(label))
      .map(({ port }) => port),
  };
}

function invalidOwners({ request, node, ...call }: GcCall, config: TeardownConfig) {
  if (!isHostLocal(config)) return [];
  return node.ipam.owners(request.network, config.dataDir).filter(({ containerId, ifName }) => {
    if (ifName === undefined) return !call.isValidContainer(containerId);
    return !call.isValid({ containerId, ifName });
  });
}

function releaseInvalid(
  call: GcCall,
  config: TeardownConfig,
  attempt: (step: () => void) => void,
): void {
  const { request, node } = call;
  const { network } = request;
  for (const { containerId, ifName = '' } of invalidOwners(call, config)) {
    attempt(() => release(node, { network, containerId, ifName }, config));
  }
  const { ipamType } = config;
  if (ipamType === undefined || ipamType === 'host-local') return;
  attempt(() => requireForeign(node, ipamType).gc(request, ipamType));
}

function release(node: CniNode, attachment: Attachment, { dataDir }: TeardownConfig): void {
  node.ipam.release(attachment, dataDir);
  node.records?.remove(attachment);
  node.journal.end(attachment);
}
