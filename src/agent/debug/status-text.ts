/** What `weft status` prints for people. */

import type { PassedOverKind } from '../../kube/manifests/manifest-set.ts';
import { ageText, counted } from '../../util/human.ts';
import { plain, wrapped } from '../../util/text-layout.ts';
import { countsText } from '../checks/findings-text.ts';
import type { CniStatus, NetworkStatus } from '../status/cni-status.ts';
import { type Finding, type Findings, isBad } from '../status/finding.ts';
import type { RoutingStatus } from '../status/routing-status.ts';
import type {
  AgentStatus,
  AuditStatus,
  FabricStatus,
  FamilyStatus,
  PolicyStatus,
  ProxyStatus,
  SourceStatus,
} from '../status/values.ts';
import type { DiskStatus } from './disk-status.ts';

export interface TextOptions {
  /** Escape sequences of a terminal for what is good and what is not. */
  readonly hasColors: boolean;
}

type Paint = (text: string) => string;
interface Paints {
  readonly good: Paint;
  readonly bad: Paint;
}

/** What stands in front of the lines of a part. */
const COLUMN = 8;

/** One screen about a running agent. */
export function statusText(status: AgentStatus, options: TextOptions): string {
  const { good, bad } = paintsOf(options);
  const { now, isHealthy, problems, proxy, source, cni, fabric, policy, routing, checks } = status;
  const state = isHealthy ? good('healthy') : bad('not healthy');
  const up = ageText(status.startedAt, now);
  const memory = `${Math.round(status.residentBytes / 1024 / 1024)} MiB of memory`;
  const components = status.components.join(', ');
  return joined([
    `weft ${plain(status.version)} on ${plain(status.node)}: ${state}`,
    ...part('', [
      `up ${up}, pid ${status.pid}, ${memory}, components ${components}`,
      ...problems.map((problem) => bad(plain(problem))),
    ]),
    ...(proxy === undefined ? [] : part('proxy', proxyLines(proxy, now))),
    ...(source === undefined ? [] : part('source', sourceLines(source, now))),
    ...(fabric === undefined ? [] : part('fabric', fabricLines(fabric, now))),
    ...(policy === undefined ? [] : part('policy', policyLines(policy))),
    ...(routing === undefined ? [] : part('bgp', routingLines(routing))),
    ...(cni === undefined ? [] : part('cni', [...cniLines(cni), ...auditLines(cni.audit, now)])),
    ...(checks === undefined ? [] : checkLines(checks, now, bad)),
  ]);
}

/** What there is to tell without an agent. */
export function diskStatusText(reason: string, status: DiskStatus, options: TextOptions): string {
  const { bad } = paintsOf(options);
  const { rules, cni } = status;
  const kinds = rules.length === 0 ? 'none' : `${rules.join(', ')}; they go on working`;
  return joined([
    `weft: ${bad('not running')}`,
    ...part('', [plain(reason), `on record in ${plain(status.runDir)}:`]),
    ...part('proxy', [`rules in the kernel: ${kinds}`]),
    ...part('cni', cniLines(cni)),
  ]);
}

function proxyLines(proxy: ProxyStatus, now: string): readonly string[] {
  const { mode, rules, reason, passedOver, lastRepair } = proxy;
  const variant = rules === mode ? '' : ` (${rules.slice(mode.length + 1)})`;
  return [
    `mode ${mode}${variant}: ${reason}`,
    ...passedOver.map((other) => `  not ${other.mode}: ${plain(other.reason)}`),
    ...proxy.families.map((family) => familyLine(family, now)),
    ...(lastRepair === undefined
      ? []
      : [
          `rules put right ${counted(proxy.repairs, 'time')}, last ${ageText(lastRepair.at, now)} ago: ` +
            `${plain(lastRepair.what)}, changed by ${plain(lastRepair.by)}`,
        ]),
    ...auditLines(proxy.audit, now),
    ...proxy.formerRules.map((kind) => `rules of the mode before are left: ${kind}`),
  ];
}

/** What is to be put right; `weft doctor` tells why, and of the others. */
function checkLines({ at, findings }: Findings, now: string, bad: Paint): readonly string[] {
  const head = `${countsText(findings)}; looked ${ageText(at, now)} ago`;
  const lines = findings.filter(isNotToldYet).flatMap((finding) => badLines(finding, bad));
  return [...part('checks', [head]), ...lines];
}

/** The problems above have the others. */
const TOLD_AS_PROBLEMS: readonly string[] = [
  ...['api-server', 'api-access', 'kube-proxy', 'node-name', 'path-mtu', 'foreign-masquerade'],
];

function isNotToldYet(finding: Finding): boolean {
  return isBad(finding) && !TOLD_AS_PROBLEMS.includes(finding.check);
}

function badLines({ check, level, seen, cure }: Finding, bad: Paint): readonly string[] {
  const indents = { first: ' '.repeat(COLUMN), next: ' '.repeat(COLUMN + 2) };
  const lines = wrapped(plain(`${check}: ${seen}`), indents);
  const painted = level === 'failing' ? lines.map((line) => bad(line)) : lines;
  return [...painted, ...wrapped(plain(`cure: ${cure}`), { ...indents, first: indents.next })];
}

/** What a standing comparison of the kernel with what it ought to hold has found. */
function auditLines(audit: AuditStatus | undefined, now: string): readonly string[] {
  if (audit === undefined) return [];
  const { differences, comparedAt, last } = audit;
  const compared =
    comparedAt === undefined
      ? 'not compared whole yet'
      : `compared ${ageText(comparedAt, now)} ago`;
  if (last === undefined) return [`kernel ${compared}, no difference`];
  const found = `${counted(differences, 'difference')} put right`;
  return [`kernel ${compared}, ${found}, last ${ageText(last.at, now)} ago: ${plain(last.what)}`];
}

function familyLine(family: FamilyStatus, now: string): string {
  const { services, endpoints, pending, pendingSince, lastSyncAt } = family;
  const counts = `${counted(services, 'Service')}, ${counted(endpoints, 'endpoint')}`;
  const synced =
    lastSyncAt === undefined ? 'not synced yet' : `synced ${ageText(lastSyncAt, now)} ago`;
  const since = pendingSince === undefined ? '' : `, since ${ageText(pendingSince, now)}`;
  const waiting = pending === 0 ? 'nothing pending' : `${pending} pending${since}`;
  return `IPv${family.family}: ${counts}; ${synced}, ${waiting}`;
}

const SOURCE_NAMES: Readonly<Record<SourceStatus['kind'], string>> = {
  apiServer: 'API server',
  manifests: 'manifests',
  etcd: 'etcd',
};

function sourceLines(source: SourceStatus, now: string): readonly string[] {
  const { kind, location, foundBy, isSynced, lastEventAt, resources, problems } = source;
  const name = SOURCE_NAMES[kind];
  const isWell = problems.length === 0;
  const read = !isSynced ? 'not all read yet' : isWell ? 'all read' : 'read, with problems';
  const last = lastEventAt === undefined ? '' : `, last event ${ageText(lastEventAt, now)} ago`;
  const found = foundBy === undefined ? '' : `, found by ${plain(foundBy)}`;
  const failures = resources.flatMap(({ resource, failures: counts }) => {
    const reasons = Object.entries(counts).filter(([, count]) => (count ?? 0) > 0);
    if (reasons.length === 0) return [];
    const text = reasons.map(([reason, count]) => `${reason} ${count}`).join(', ');
    return [`failed requests for ${plain(resource)} since the start: ${text}`];
  });
  return [
    `${name} ${plain(location)}${found}: ${read}${last}`,
    ...etcdLines(source),
    ...failures,
    ...source.passedOver.map(passedOverLine),
  ];
}

function etcdLines({ etcd }: SourceStatus): readonly string[] {
  if (etcd === undefined) return [];
  const { endpoints, revision } = etcd;
  const at = revision === undefined ? 'no revision known yet' : `revision ${revision}`;
  return [`${at}; ${counted(endpoints.length, 'endpoint')}: ${endpoints.map(plain).join(', ')}`];
}

function passedOverLine({ kind, reason, count, keys }: PassedOverKind): string {
  const named = keys.filter((key) => key !== '').join(', ');
  const others = count > keys.length ? ', …' : '';
  const which = named === '' ? '' : ` (${named}${others})`;
  return plain(`passed over: ${count} of ${kind}${which}: ${reason}`);
}

function fabricLines(fabric: FabricStatus, now: string): readonly string[] {
  const { isReady, backend, podCIDRs, mtu, peers, entries, repairs, settledAt } = fabric;
  const state = isReady ? 'ready' : 'not ready';
  const own = podCIDRs.length === 0 ? 'no podCIDRs' : podCIDRs.map(plain).join(', ');
  const size = mtu === undefined ? '' : `, MTU of pods ${mtu}`;
  const others = peers.direct + peers.vxlan + peers.unreachable + peers.withoutPods;
  const ways = [
    `${peers.direct} on the same link`,
    `${peers.vxlan} by VXLAN`,
    ...(peers.unreachable === 0 ? [] : [`${peers.unreachable} not reached`]),
    ...(peers.withoutPods === 0 ? [] : [`${peers.withoutPods} without pods`]),
  ];
  const right = repairs === 0 ? '' : `, ${repairs} put right`;
  const settled = settledAt === undefined ? '' : `, all in place ${ageText(settledAt, now)} ago`;
  return [
    `back end ${backend}: ${state}; ${own}${size}`,
    others === 0 ? 'no other node' : `${counted(others, 'other node')}: ${ways.join(', ')}`,
    ...pathLines(fabric.paths),
    `${counted(entries, 'entry', 'entries')} in the kernel${right}${settled}`,
    ...fabric.notices.map((notice) => plain(`note: ${notice}`)),
  ];
}

function policyLines(policy: PolicyStatus): readonly string[] {
  const { policies, localPods, subjects, readsAllPods, elements, repairs, waiting } = policy;
  const kinds = [
    counted(policies.network, 'NetworkPolicy', 'NetworkPolicies'),
    counted(policies.cluster, 'ClusterNetworkPolicy', 'ClusterNetworkPolicies'),
  ];
  const right = repairs === 0 ? '' : `, put right ${counted(repairs, 'time')}`;
  const peers = readsAllPods ? 'pods of all nodes are followed' : 'pods of this node are followed';
  const awaited = waiting === 0 ? '' : `; ${counted(waiting, 'pod')} waiting to start`;
  return [
    `${policy.isReady ? 'enforced' : 'not ready'}; ${kinds.join(', ')}`,
    `${counted(subjects, 'address', 'addresses')} of ${counted(localPods, 'pod')} selected; ${peers}${awaited}`,
    `${counted(elements, 'element')} in the kernel, generation ${policy.generation}${right}`,
  ];
}

function routingLines({ asn, sessions, routes }: RoutingStatus): readonly string[] {
  const established = sessions.filter(({ state }) => state === 'Established').length;
  const told = routes.filter(({ whyNot }) => whyNot === '').length;
  return [
    `AS ${asn}: ${established} of ${counted(sessions.length, 'session')} established`,
    `${told} of ${counted(routes.length, 'network')} of this node told`,
  ];
}

function pathLines({ full, smaller, nothing }: FabricStatus['paths']): readonly string[] {
  const all = full + smaller + nothing;
  if (all === 0) return [];
  const answers = [
    `${full} pass packets of that size`,
    ...(smaller === 0 ? [] : [`${smaller} only smaller ones`]),
    ...(nothing === 0 ? [] : [`${nothing} do not answer`]),
  ];
  return [`${counted(all, 'path')} probed: ${answers.join(', ')}`];
}

function cniLines(status: CniStatus): readonly string[] {
  const { attachments, pods, unfinishedAdds, networks, doubts } = status;
  const unfinished = unfinishedAdds === 0 ? 'no ADD' : counted(unfinishedAdds, 'ADD');
  return [
    `${counted(attachments, 'interface')} in ${counted(pods, 'pod')}, ${unfinished} unfinished`,
    ...networks.map(networkLine),
    ...doubts.map(plain),
  ];
}

function networkLine({ network, family, used, free }: NetworkStatus): string {
  const left = free === undefined ? '' : `, ${free} free`;
  return `${plain(network)} IPv${family}: ${counted(used, 'address', 'addresses')} used${left}`;
}

/** The first line behind the name, the others below it. */
function part(name: string, lines: readonly string[]): readonly string[] {
  return lines.map((line, i) => `${(i === 0 ? name : '').padEnd(COLUMN)}${line}`);
}

function joined(lines: readonly string[]): string {
  return `${lines.join('\n')}\n`;
}

function paintsOf({ hasColors }: TextOptions): Paints {
  const paint = (code: number) => (text: string) =>
    hasColors ? `\u001b[${code}m${text}\u001b[0m` : text;
  return { good: paint(32), bad: paint(31) };
}
