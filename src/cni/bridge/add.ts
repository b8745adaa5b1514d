import type { NodeRtnl, Rtnl } from '../../kernel/types.ts';
import { addressOf } from '../../net/cidr.ts';
import { hostVethName } from '../attachment.ts';
import type { RecordedIpam } from '../attachment-records.ts';
import { variantOf } from '../iptables/kernel-view.ts';
import { addIptablesMasquerade } from '../iptables/masquerade.ts';
import { ownEntries } from '../masquerade-entry.ts';
import { type CniNode, withNftables, withRtnl } from '../node.ts';
import type { NetnsCall } from '../plugin.ts';
import { podOf } from '../protocol/args.ts';
import { CNI_ERROR_CODE } from '../protocol/errors.ts';
import type { Request } from '../protocol/request.ts';
import type { Result } from '../protocol/result.ts';
import { requiringNftables } from '../requires-nftables.ts';
import type { UndoList } from '../undo.ts';
import { remember } from '../upkeep/remember.ts';
import { type BridgeConfig, parseBridgeConfig } from './config.ts';
import { ensureBridge } from './ensure-bridge.ts';
import { requireFabric } from './fabric.ts';
import { removeIptablesMasquerade, requireIptables } from './iptables-masquerade.ts';
import { addMasquerade, removeMasquerade } from './masquerade.ts';
import { forgetOwnQuestions, ignoreOwnQuestions } from './own-addresses.ts';
import { type AttachmentPlan, buildPlan } from './plan.ts';
import { announce, configurePod } from './pod.ts';
import { areSendersTied, requirePolicies } from './policy.ts';
import { allowOnUplink, configurePort, createVeth, ensureVlanGateway, nameTaken } from './port.ts';
import { reserve } from './reservations.ts';
import { buildResult, type MadeLinks } from './result.ts';
import { deleteProxy, routesSameNode, setProxy } from './same-node.ts';
import { guardPort, isLookedAt, unguardPorts } from './spoof.ts';
import { applySysctls } from './sysctls.ts';

interface Sockets {
  readonly host: NodeRtnl;
  readonly pod: Rtnl;
}

/** The link with the gateway's addresses. */
interface Holder {
  readonly host: NodeRtnl;
  readonly index: number;
}

/**
 * ADD: reserve, plan, execute. Only the bridge, gateways of VLANs and nft structure outlive an undo:
 * they are shared. Follows the CNI specification, "ADD: Add container to network".
 */
export function add(call: NetnsCall, undo: UndoList): Result {
  const { request, node, attachment, netns } = call;
  const config = parseBridgeConfig(request);
  requireFabric(config, node, CNI_ERROR_CODE.tryAgainLater);
  requirePolicies(config, node);
  return withRtnl(node.kernel, undefined, (host) =>
    withRtnl(node.kernel, netns, (pod) => {
      if (pod.link(attachment.ifName) !== undefined) {
        throw nameTaken(attachment.ifName, hostVethName(attachment));
      }
      // The interface is not in the pod; where its other end is not there either, it is nowhere.
      const isLeftover = () => host.link(hostVethName(attachment)) === undefined;
      const lease = reserve(call, config, undo, isLeftover);
      const planned = { ...config, policy: routesSameNode(config, node, host) };
      const plan = buildPlan({
        ...{ attachment, config: planned, lease, nodeId: node.nodeId },
        tiesSenders: areSendersTied(config, node),
      });
      remember(call, plan, recordedIpam(config, request), undo);
      admit(call, plan);
      const made = execute(plan, call, { host, pod }, undo);
      return buildResult(plan, made, request);
    }),
  );
}

function recordedIpam(
  { ipam, foreignIpam }: BridgeConfig,
  request: Request,
): RecordedIpam | undefined {
  if (foreignIpam !== undefined) return { type: foreignIpam, execution: executionOf(request) };
  if (ipam === undefined) return undefined;
  const { dataDir } = ipam;
  return { type: 'host-local', ...(dataDir === undefined ? {} : { dataDir }) };
}

/** Of the environment only what the specification names, and where programs are. */
function executionOf({ stdin, env, path }: Request): NonNullable<RecordedIpam['execution']> {
  const named = Object.entries(env).filter(([name]) => name === 'PATH' || name.startsWith('CNI_'));
  return { stdin: stdin.toString(), env: Object.fromEntries(named), path };
}

function execute(
  plan: AttachmentPlan,
  call: NetnsCall,
  { host, pod }: Sockets,
  undo: UndoList,
): MadeLinks {
  const { node, netns } = call;
  const { kernel } = node;
  const bridge = ensureBridge(host, kernel.sysctls, plan.bridge);
  const gateway = plan.vlanGateway && ensureVlanGateway(host, kernel, plan.vlanGateway, bridge);
  applySysctls(kernel.sysctls, undefined, [...plan.forwarding, ...(plan.sameNode?.sysctls ?? [])]);
  if (plan.uplink !== undefined) allowOnUplink(host, plan.uplink, bridge);
  const port = createVeth(host, plan, netns, bridge);
  undo.push(() => withRtnl(kernel, undefined, (rtnl) => rtnl.deleteLink(port.index)));
  configurePort(host, kernel.sysctls, port, plan.host);
  guard(plan, node, undo);
  answerForPod(plan, node, { host, index: (gateway ?? bridge).index }, undo);
  configurePod(pod, kernel, plan.pod, { netns, index: port.peerIndex });
  setNeighbours(plan, node, { host, index: (gateway ?? bridge).index }, undo);
  masquerade(plan, node, undo);
  masqueradeWithIptables(plan, call, undo);
  announce({ host, pod, pause: kernel.pause }, plan, { port: port.index, pod: port.peerIndex });
  return { bridge, port, ...(gateway === undefined ? {} : { vlanGateway: gateway }) };
}

/** Before anything of the pod can send or be sent to. */
function admit({ request, node }: NetnsCall, { result }: AttachmentPlan): void {
  const addresses = result.ips.map(({ address }) => addressOf(address));
  node.policies?.admit(podOf(request.args), addresses);
}

/** Before the pod's end is raised, so that no frame of it goes by unseen. */
function guard({ host, label }: AttachmentPlan, { kernel }: CniNode, undo: UndoList): void {
  if (!isLookedAt(host)) return;
  requiringNftables(host.senders === undefined ? 'macspoofchk' : 'policy', () =>
    withNftables(kernel, (nft) => guardPort(nft, host, label)),
  );
  undo.push(() => withNftables(kernel, (nft) => unguardPorts(nft, [host])));
}

/** Before the pod's end is raised, whose detection of duplicates would meet the answers. */
function answerForPod(
  { sameNode, label }: AttachmentPlan,
  { kernel }: CniNode,
  { host, index }: Holder,
  undo: UndoList,
): void {
  if (sameNode === undefined || sameNode.proxied.length === 0) return;
  const { proxied } = sameNode;
  requiringNftables('policy', () =>
    withNftables(kernel, (nft) => ignoreOwnQuestions(nft, sameNode, label)),
  );
  undo.push(() => withNftables(kernel, (nft) => forgetOwnQuestions(nft, proxied)));
  for (const address of proxied) {
    setProxy(host, index, address);
    undo.push(() => withRtnl(kernel, undefined, (rtnl) => deleteProxy(rtnl, index, address)));
  }
}

/** Undo needs a socket of its own: it may run after this call's are closed. */
function setNeighbours(
  plan: AttachmentPlan,
  { kernel }: CniNode,
  { host, index }: Holder,
  undo: UndoList,
): void {
  for (const address of plan.neighbours) {
    host.setNeighbour(index, address, plan.pod.mac);
    undo.push(() => withRtnl(kernel, undefined, (rtnl) => rtnl.deleteNeighbour(index, address)));
  }
}

function masquerade(
  { masquerade: all, label }: AttachmentPlan,
  { kernel, isMasqueradedElsewhere }: CniNode,
  undo: UndoList,
): void {
  const entries = ownEntries(all, isMasqueradedElsewhere);
  if (entries.length === 0) return;
  const addresses = entries.map(({ address }) => address);
  requiringNftables('ipMasq', () =>
    withNftables(kernel, (nft) => addMasquerade(nft, entries, label)),
  );
  undo.push(() => withNftables(kernel, (nft) => removeMasquerade(nft, addresses, true)));
}

function masqueradeWithIptables(
  { iptablesMasquerade: wanted }: AttachmentPlan,
  call: NetnsCall,
  undo: UndoList,
): void {
  if (wanted === undefined) return;
  const { node, attachment } = call;
  undo.push(() => withNftables(node.kernel, (nft) => removeIptablesMasquerade(call, nft, true)));
  addIptablesMasquerade(requireIptables(node), wanted);
  withNftables(node.kernel, (nft) => {
    node.records?.amend(attachment, { iptablesVariant: variantOf(nft, wanted) });
  });
}
