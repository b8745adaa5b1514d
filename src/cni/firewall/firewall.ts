import { type Cidr, cidrFamily, networkOf } from '../../net/cidr.ts';
import type { CniNode } from '../node.ts';
import type { ChainMember, GcCall, NetnsCall, StatusCall } from '../plugin.ts';
import { CniError, cniErrorCode } from '../protocol/errors.ts';
import { isJsonObject, memberOf } from '../protocol/json.ts';
import type { Request } from '../protocol/request.ts';
import type { Result } from '../protocol/result.ts';
import { parseValidAttachments } from '../protocol/valid-attachments.ts';
import { parseFirewallConfig } from './config.ts';
import {
  ensureForward,
  type ForwardTables,
  families,
  missingRules,
  readForward,
  removeForward,
} from './forward.ts';

/**
 * Lets pods' packets through where iptables drops what it forwards, as the reference's firewall. Its
 * rules are per subnet, so DEL has nothing to do.
 */
export const firewall: ChainMember = firewallWith(({ kernel }) => kernel.openNftables());

/** The member with other tables than the node's; each call opens and closes them once. */
export function firewallWith(open: OpenTables): ChainMember {
  return {
    name: 'firewall',
    isWanted: ({ config }) => parseFirewallConfig(config) !== undefined,
    add: ({ request, node, attachment }, previous) => {
      const config = parseFirewallConfig(request.config);
      if (config === undefined) return previous;
      const forwarded = { ...config, subnets: subnetsOf(previous) };
      using(open(node), (nft) => ensureForward(nft, { ...forwarded, network: request.network }));
      node.records?.amend(attachment, { forwarded });
      return previous;
    },
    del: () => undefined,
    check: (call, previous) => using(open(call.node), (nft) => checkForward(nft, call, previous)),
    status: (call) => using(open(call.node), (nft) => requireForward(nft, call)),
    gc: (call) => {
      const used = isWithoutPods(call) ? [] : usedSubnets(call);
      if (used === undefined) return;
      using(open(call.node), (nft) => removeForward(nft, call.request.network, used));
    },
  };
}

type OpenTables = (node: CniNode) => ForwardTables;

function using(nft: ForwardTables, job: (nft: ForwardTables) => void): void {
  try {
    job(nft);
  } finally {
    nft.close();
  }
}

/** Networks of the pod's addresses, each once. */
function subnetsOf({ ips }: Result): readonly Cidr[] {
  return [...new Set(ips.map(({ address }) => networkOf(address)))];
}

function checkForward(nft: ForwardTables, { request }: NetnsCall, previous: Result): void {
  const wish = { network: request.network, subnets: subnetsOf(previous) };
  for (const family of families) {
    if (!wish.subnets.some((subnet) => cidrFamily(subnet) === family)) continue;
    const state = readForward(nft, family);
    const [missing] = state === undefined ? [] : missingRules(state, family, wish);
    if (missing === undefined) continue;
    throw new Error(`iptables rules of network ${request.network}: "${missing}" is missing`);
  }
}

/** Before the first pod nothing is missing yet. */
function requireForward(nft: ForwardTables, { request, node }: StatusCall): void {
  if (parseFirewallConfig(request.config) === undefined) return;
  for (const family of families) {
    const state = readForward(nft, family);
    if (state?.policy !== 'drop' || state.entries.length > 0) continue;
    const hasPods = () => node.ipam.owners(request.network, dataDirOf(request)).length > 0;
    if (!state.hasWeftChain && !hasPods()) continue;
    throw new CniError(
      cniErrorCode.limitedConnectivity,
      `iptables drops forwarded IPv${family} packets and the jump to WEFT-FORWARD is missing`,
    );
  }
}

/** Rules stay unless the runtime says that the network has no attachment at all. */
function isWithoutPods({ request, node, isValidContainer }: GcCall): boolean {
  if (parseValidAttachments(request.config)?.length !== 0) return false;
  const owners = node.ipam.owners(request.network, dataDirOf(request));
  return !owners.some(({ containerId }) => isValidContainer(containerId));
}

/** Of the valid attachments; undefined when those of one of them are not known. */
function usedSubnets({ request, node }: GcCall): readonly Cidr[] | undefined {
  const { network, config } = request;
  const subnets: Cidr[] = [];
  for (const valid of parseValidAttachments(config) ?? []) {
    const forwarded = node.records?.read({ network, ...valid })?.forwarded;
    if (forwarded === undefined) return undefined;
    subnets.push(...forwarded.subnets);
  }
  return subnets.length === 0 ? undefined : subnets;
}

function dataDirOf({ config }: Request): string | undefined {
  const ipam = memberOf(config, 'ipam');
  const dataDir = isJsonObject(ipam) ? memberOf(ipam, 'dataDir') : undefined;
  return typeof dataDir === 'string' && dataDir !== '' ? dataDir : undefined;
}
