import type { Iptables } from '../../iptables/programs-sync.ts';
import { addressOf } from '../../net/cidr.ts';
import type { IP, IPFamily } from '../../net/ip.ts';
import { toError } from '../../util/errors.ts';
import type { CniNode, Nftables } from '../node.ts';
import type { ChainMember, DelCall, GcCall, NetnsCall, StatusCall } from '../plugin.ts';
import { CNI_ERROR_CODE, CniError } from '../protocol/errors.ts';
import { isJsonObject, memberOf } from '../protocol/json.ts';
import { parsePreviousResult } from '../protocol/previous-result.ts';
import type { Request } from '../protocol/request.ts';
import type { Result } from '../protocol/result.ts';
import { parseValidAttachments } from '../protocol/valid-attachments.ts';
import type { UndoList } from '../undo.ts';
import { isFirewallPlugin, parseFirewallConfig } from './config.ts';
import {
  ensureForward,
  FAMILIES,
  type ForwardTables,
  type ForwardWish,
  hasForward,
  missingRules,
  type RuleFilter,
  readChains,
  readForward,
  removeForward,
  removeUnusedForward,
} from './forward.ts';
import { type IsolationTables, isolate, isolationOf, requireIsolation } from './isolation.ts';
import { commentPrefix, ownerOf } from './layout.ts';
import {
  ensureByPrograms,
  missingByPrograms,
  REFERENCE_CHAIN,
  removeByPrograms,
  removeReferenceRules,
} from './programs.ts';
import { joinZone, leaveZone, readConfig, requireInZone, zoneOf } from './zone.ts';

/**
 * Lets a pod's packets through where iptables drops what it forwards, as the reference's firewall:
 * the pod's own addresses, from ADD to DEL.
 */
export const firewall: ChainMember = firewallWith(({ kernel }) => kernel.openNftables());

/** Tables of iptables and of firewalld, and one of ours for ingressPolicy. */
type Tables = ForwardTables & IsolationTables & Pick<Nftables, 'tables' | 'hasChain'>;

/** The member with other tables than the node's; each call opens and closes them once. */
export function firewallWith(open: OpenTables): ChainMember {
  return {
    name: 'firewall',
    isWanted: ({ config }) => parseFirewallConfig(config) !== undefined,
    add: (call, previous, undo) => addRules(open, call, previous, undo),
    del: (call) => {
      const [error] = deleteRules(open, [call]);
      if (error !== undefined) throw error;
    },
    delMany: (calls) => deleteRules(open, calls),
    check: (call, previous) => using(open(call.node), (nft) => checkForward(nft, call, previous)),
    status: (call) => using(open(call.node), (nft) => requireForward(nft, call)),
    gc: (call) => using(open(call.node), (nft) => removeInvalid(nft, call)),
  };
}

type OpenTables = (node: CniNode) => Tables;

function using(nft: Tables, job: (nft: Tables) => void): void {
  try {
    job(nft);
  } finally {
    nft.close();
  }
}

function addRules(open: OpenTables, call: NetnsCall, previous: Result, undo: UndoList): Result {
  const { request, node, attachment } = call;
  const config = parseFirewallConfig(request.config);
  if (config === undefined) return previous;
  const { adminChain, ingress } = config;
  const addresses = addressesOf(previous);
  const isolation = ingress === 'open' ? undefined : isolationOf(ingress, previous);
  using(open(node), (nft) => {
    const zone = zoneOf(config, node, nft);
    // Before the rules, so that a DEL looks for them.
    node.records?.amend(attachment, {
      forwarded: {
        adminChain,
        addresses,
        ...(isolation === undefined ? {} : { isolation }),
        ...(zone === undefined ? {} : { zone }),
      },
    });
    undo.push(() => {
      using(open(node), (tables) => removeRules(node, tables, ofOwners([call])));
      if (zone !== undefined) leaveZone(node, { attachment, zone, addresses });
    });
    const pods = [{ owner: attachment, addresses }];
    if (zone === undefined) forward(node, nft, { adminChain, pods });
    else joinZone(node, { attachment, zone, addresses });
    if (isolation !== undefined) isolate(nft, isolation);
  });
  return previous;
}

function forward(node: CniNode, nft: Tables, wish: ForwardWish): void {
  ensureForward(nft, () => wish);
  for (const place of programPlaces(node, nft)) {
    ensureByPrograms(place.iptables, place, wish);
  }
}

/** One listing and one transaction for all; of the others nothing can be there. */
function deleteRules(open: OpenTables, calls: readonly DelCall[]): readonly (Error | undefined)[] {
  const concerned = calls.filter(mayHaveRules);
  const [first] = concerned;
  if (first === undefined) return calls.map(() => undefined);
  try {
    for (const call of concerned) noteLeaving(call);
    using(open(first.node), (nft) => {
      removeRules(first.node, nft, ofOwners(concerned));
      removeFormerRules(first.node, nft, concerned);
      for (const call of concerned) leaveItsZone(nft, call);
    });
    return calls.map(() => undefined);
  } catch (thrown) {
    return calls.map((call) => (concerned.includes(call) ? toError(thrown) : undefined));
  }
}

/** Where the programs are needed: for the older interface, or because nobody has made a chain yet. */
function programPlaces({ kernel: { iptables } }: CniNode, nft: Tables): readonly ProgramPlace[] {
  if (iptables === undefined) return [];
  return FAMILIES.flatMap((family): readonly ProgramPlace[] => {
    if (iptables.hasLegacyTable(family, 'filter')) return [{ iptables, family, variant: 'legacy' }];
    return hasForward(nft, family) ? [] : [{ iptables, family }];
  });
}

interface ProgramPlace {
  readonly iptables: Iptables;
  readonly family: IPFamily;
  readonly variant?: 'legacy';
}

function legacyFamilies({ kernel: { iptables } }: CniNode): readonly IPFamily[] {
  return FAMILIES.filter((family) => iptables?.hasLegacyTable(family, 'filter') === true);
}

function removeRules(node: CniNode, nft: Tables, isRemoved: RuleFilter): void {
  removeForward(nft, isRemoved);
  const { iptables } = node.kernel;
  if (iptables === undefined) return;
  for (const family of legacyFamilies(node)) {
    removeByPrograms(iptables, { family, variant: 'legacy' }, isRemoved);
  }
}

/** What the reference's firewall made before its name became ours: whoever has a DEL removes it. */
function removeFormerRules(node: CniNode, nft: Tables, calls: readonly DelCall[]): void {
  const { iptables } = node.kernel;
  if (iptables === undefined) return;
  const addresses = calls.flatMap(knownAddresses);
  const legacy = legacyFamilies(node);
  for (const family of FAMILIES) {
    const hasChain = readChains(nft, family).includes(REFERENCE_CHAIN);
    if (hasChain) removeReferenceRules(iptables, { family, variant: 'nft' }, addresses);
    if (!legacy.includes(family)) continue;
    removeReferenceRules(iptables, { family, variant: 'legacy' }, addresses);
  }
}

/** What the reference's firewall has put into a zone, too. */
function leaveItsZone(nft: Tables, call: DelCall): void {
  const { request, node, attachment } = call;
  const forwarded = node.records?.read(attachment)?.forwarded;
  const config = forwarded === undefined ? readConfig(request.config) : undefined;
  const zone = config === undefined ? forwarded?.zone : zoneOf(config, node, nft);
  if (zone !== undefined) leaveZone(node, { attachment, zone, addresses: knownAddresses(call) });
}

/** Those of prevResult in whatever state, and of the record. */
function knownAddresses({ request, node, attachment }: DelCall): readonly IP[] {
  const recorded = node.records?.read(attachment)?.addresses ?? [];
  try {
    const previous = parsePreviousResult(request);
    return [...recorded, ...(previous === undefined ? [] : addressesOf(previous))];
  } catch {
    return recorded;
  }
}

/** A pod of ours that never had any is the usual one: its DEL is not to wait for a listing. */
function mayHaveRules({ request, node, attachment }: DelCall): boolean {
  if (isFirewallPlugin(request.config)) return true;
  const record = node.records?.read(attachment);
  if (record !== undefined) return record.forwarded !== undefined;
  return (memberOf(request.config, 'firewall') ?? false) !== false;
}

/** Otherwise the agent would take its rules for lost until the record is gone, too. */
function noteLeaving({ node, attachment }: Pick<DelCall, 'node' | 'attachment'>): void {
  const forwarded = node.records?.read(attachment)?.forwarded;
  if (forwarded === undefined) return;
  node.records?.amend(attachment, { forwarded: { ...forwarded, isLeaving: true } });
}

function ofOwners(calls: readonly Pick<DelCall, 'attachment'>[]) {
  const owners = new Set(calls.map(({ attachment }) => ownerOf(attachment)));
  return ({ owner }: { readonly owner?: string }) => owner !== undefined && owners.has(owner);
}

/** Each once, without the network it is in. */
function addressesOf({ ips }: Result): readonly IP[] {
  return [...new Set(ips.map(({ address }) => addressOf(address)))];
}

function checkForward(
  nft: Tables,
  { request, node, attachment }: NetnsCall,
  previous: Result,
): void {
  const config = parseFirewallConfig(request.config);
  if (config === undefined) return;
  const { ingress, adminChain } = config;
  if (ingress !== 'open') requireIsolation(nft, isolationOf(ingress, previous));
  const addresses = addressesOf(previous);
  const zone = zoneOf(config, node, nft);
  if (zone !== undefined) {
    requireInZone(node, { attachment, zone, addresses });
    return;
  }
  const pods = [{ owner: attachment, addresses }];
  for (const family of FAMILIES) {
    const state = readForward(nft, family);
    const [ofNft] = state === undefined ? [] : missingRules(state, family, pods);
    const missing = ofNft ?? missingInLegacy(node, family, { adminChain, pods });
    if (missing === undefined) continue;
    throw new Error(`iptables rules of network ${request.network}: "${missing}" is missing`);
  }
}

function missingInLegacy(node: CniNode, family: IPFamily, wish: ForwardWish): string | undefined {
  const { iptables } = node.kernel;
  if (iptables === undefined || !legacyFamilies(node).includes(family)) return undefined;
  return missingByPrograms(iptables, { family, variant: 'legacy' }, wish);
}

/** Before the first pod nothing is missing yet. */
function requireForward(nft: Tables, { request, node }: StatusCall): void {
  const config = parseFirewallConfig(request.config);
  if (config === undefined || zoneOf(config, node, nft) !== undefined) return;
  for (const family of FAMILIES) {
    const state = readForward(nft, family);
    if (state?.policy !== 'drop' || state.entries.length > 0) continue;
    const hasPods = () => node.ipam.owners(request.network, dataDirOf(request)).length > 0;
    if (!state.hasWeftChain && !hasPods()) continue;
    throw new CniError(
      CNI_ERROR_CODE.limitedConnectivity,
      `iptables drops forwarded IPv${family} packets and the jump to WEFT-FORWARD is missing`,
    );
  }
}

/**
 * Rules of attachments that are not valid. Those of whole subnets, which earlier releases made, stay as
 * long as a valid attachment may have nothing else.
 */
function removeInvalid(nft: Tables, { request, node }: GcCall): void {
  const { network, config } = request;
  const valid = parseValidAttachments(config);
  if (valid === undefined) return;
  const prefix = commentPrefix(network);
  const kept = new Set(valid.map((each) => ownerOf({ network, ...each })));
  for (const { attachment, forwarded } of node.records?.list() ?? []) {
    const isInvalid = attachment.network === network && !kept.has(ownerOf(attachment));
    if (!isInvalid) continue;
    noteLeaving({ node, attachment });
    const { zone, addresses = [] } = forwarded ?? {};
    if (zone !== undefined) leaveZone(node, { attachment, zone, addresses });
  }
  removeRules(node, nft, (comment) => {
    if (comment.prefix !== prefix) return false;
    return comment.owner === undefined ? valid.length === 0 : !kept.has(comment.owner);
  });
  removeUnusedForward(nft);
}

function dataDirOf({ config }: Request): string | undefined {
  const ipam = memberOf(config, 'ipam');
  const dataDir = isJsonObject(ipam) ? memberOf(ipam, 'dataDir') : undefined;
  return typeof dataDir === 'string' && dataDir !== '' ? dataDir : undefined;
}
