/**
 * What `weft status` tells of a running agent. Times are RFC 3339; what is not there was never or is
 * not known. The JSON of `weft status --output json` has these names.
 */

import type { PassedOverKind } from '../../kube/manifests/manifest-set.ts';
import type { IPFamily } from '../../net/ip.ts';
import type { PassedOver } from '../../proxy/modes/auto.ts';
import type { RulesKind } from '../../proxy/modes/names.ts';
import type { CniStatus } from './cni-status.ts';
import type { Findings } from './finding.ts';
import type { RoutingStatus } from './routing-status.ts';

export interface AgentStatus {
  readonly isRunning: true;
  readonly isHealthy: boolean;
  /** Why it is not healthy, in words. */
  readonly problems: readonly string[];
  readonly now: string;
  readonly startedAt: string;
  readonly version: string;
  readonly nodeVersion: string;
  readonly pid: number;
  readonly node: string;
  readonly runDir: string;
  readonly components: readonly string[];
  readonly residentBytes: number;
  readonly proxy?: ProxyStatus;
  readonly source?: SourceStatus;
  readonly cni?: RunningCniStatus;
  readonly fabric?: FabricStatus;
  readonly policy?: PolicyStatus;
  /** What the last look at the node has found; absent before the first. */
  readonly checks?: Findings;
  readonly routing?: RoutingStatus;
}

/** What is on record, and what a running agent finds when it compares the node with that. */
export interface RunningCniStatus extends CniStatus {
  readonly audit?: AuditStatus;
}

/** How pods reach those of other nodes. */
export interface FabricStatus {
  readonly isReady: boolean;
  /** Why not; empty when it is. */
  readonly reason: string;
  /** Pods of this node may start. */
  readonly isOpen: boolean;
  readonly backend: string;
  /** This node's. */
  readonly podCIDRs: readonly string[];
  /** For pods, in bytes. */
  readonly mtu?: number;
  /** Other nodes, by the way to them. */
  readonly peers: {
    readonly direct: number;
    readonly vxlan: number;
    readonly unreachable: number;
    readonly withoutPods: number;
  };
  /** Ways to them, by what arrives: packets of the MTU of pods, only smaller ones, or nothing. */
  readonly paths: { readonly full: number; readonly smaller: number; readonly nothing: number };
  /** Routes, neighbours and forwarding entries. */
  readonly entries: number;
  /** How many of them somebody else had changed, and were put right. */
  readonly repairs: number;
  /** When all of it was last as it ought to be. */
  readonly settledAt?: string;
  readonly problems: readonly string[];
  /** Of these nobody has to put anything right. */
  readonly notices: readonly string[];
}

/** Who may talk to whom. */
export interface PolicyStatus {
  /** Policies hold on this node. */
  readonly isReady: boolean;
  /** Why not; empty when they do. */
  readonly reason: string;
  readonly policies: { readonly network: number; readonly cluster: number };
  /** Pods of this node on record. */
  readonly localPods: number;
  /** Addresses that policies select. */
  readonly subjects: number;
  /** Whether pods of other nodes are followed, because some policy is about them. */
  readonly readsAllPods: boolean;
  readonly elements: number;
  readonly generation: number;
  readonly lastCommitMs?: number;
  /** How often somebody else's changes of the table were undone. */
  readonly repairs: number;
  /** Pods that wait for what decides about them. */
  readonly waiting: number;
  /** Policies that fail closed because they cost more than there is for them. */
  readonly overBudget: number;
  readonly problems: readonly string[];
}

export interface ProxyStatus {
  readonly mode: string;
  /** Why this mode, and what was passed over for it. */
  readonly reason: string;
  readonly passedOver: readonly PassedOver[];
  readonly rules: RulesKind;
  readonly families: readonly FamilyStatus[];
  /** How often rules that somebody else had changed were put right. */
  readonly repairs: number;
  readonly lastRepair?: RepairNote;
  readonly audit?: AuditStatus;
  /** Rules of modes before, which are not removed yet. */
  readonly formerRules: readonly RulesKind[];
  /** Tables of a kube-proxy's that cannot be removed yet. */
  readonly kubeProxyTables: readonly string[];
}

/** A standing comparison of the kernel with what it ought to hold. */
export interface AuditStatus {
  /** Since the start, all of them repaired. */
  readonly differences: number;
  /** When all of it had last been compared; absent before the first time. */
  readonly comparedAt?: string;
  readonly last?: { readonly at: string; readonly what: string; readonly differences: number };
}

export interface RepairNote {
  readonly at: string;
  /** The table, or the chains and jumps. */
  readonly what: string;
  /** The program that had changed them. */
  readonly by: string;
}

export interface FamilyStatus {
  readonly family: IPFamily;
  /** Services and EndpointSlices were read whole, and the first sync may begin. */
  readonly isSynced: boolean;
  readonly isHealthy: boolean;
  readonly services: number;
  readonly servicePorts: number;
  readonly endpoints: number;
  /** Services with changes that are not in the kernel yet. */
  readonly pending: number;
  /** Since when the oldest of them waits. */
  readonly pendingSince?: string;
  readonly lastSyncAt?: string;
  /** Of the last sync, if it failed. */
  readonly lastError?: { readonly at: string; readonly reason: string };
}

export interface SourceStatus {
  readonly kind: 'apiServer' | 'manifests' | 'etcd';
  /** `10.0.0.1:6443`, or the directory. */
  readonly location: string;
  /** How the API server was found: `KUBERNETES_SERVICE_HOST`. */
  readonly foundBy?: string;
  /** Of etcd: all that are tried, and the newest revision that is known. */
  readonly etcd?: { readonly endpoints: readonly string[]; readonly revision?: number };
  readonly isSynced: boolean;
  readonly lastEventAt?: string;
  /** What is wrong with it now, in words. */
  readonly problems: readonly string[];
  /** What files hold that has no effect, by kind and reason. */
  readonly passedOver: readonly PassedOverKind[];
  /** By kind of object, for an API server. */
  readonly resources: readonly ResourceStatus[];
}

export interface ResourceStatus {
  /** Plural name: `services`. */
  readonly resource: string;
  readonly lists: number;
  readonly watches: number;
  /** Failed lists and watches by reason, since the start. */
  readonly failures: Readonly<Record<string, number | undefined>>;
  /** Objects that lists lack and that are kept for now, because too many went at once. */
  readonly withheld: number;
  /** Objects of the last run stand in: nothing was listed yet. */
  readonly isRestored: boolean;
}

/** What is wrong, in words for people; nothing for a healthy agent. */
export function findProblems({
  proxy,
  source,
  cni,
  fabric,
  policy,
}: Pick<AgentStatus, 'proxy' | 'source' | 'cni' | 'fabric' | 'policy'>): readonly string[] {
  const restored = source?.resources.filter(({ isRestored }) => isRestored) ?? [];
  return [
    ...(source !== undefined && !source.isSynced ? ['not all objects were read yet'] : []),
    ...(source?.problems ?? []),
    ...(restored.length > 0
      ? [
          `${source?.kind === 'etcd' ? 'etcd' : 'the API server'} is not reached: objects of the last run stand in`,
        ]
      : []),
    ...(source?.resources ?? []).flatMap(withheldProblems),
    ...(fabric === undefined ? [] : fabricProblems(fabric)),
    ...(policy === undefined ? [] : policyProblems(policy)),
    ...(proxy?.families ?? []).flatMap(familyProblems),
    ...(proxy?.kubeProxyTables ?? []).map(
      (table) => `table ${table} of a kube-proxy is in use too`,
    ),
    ...(cni?.networks ?? [])
      .filter(({ free }) => free === 0)
      .map(({ network, family }) => {
        return `network ${network} has no IPv${family} address left: new pods wait for one`;
      }),
  ];
}

function withheldProblems({ resource, withheld }: ResourceStatus): readonly string[] {
  if (withheld === 0) return [];
  const what = `the last list of ${resource} lacks ${withheld} that were there, too many at once`;
  return [`${what}: they are kept until it has been so for 5 minutes`];
}

function policyProblems({ reason, problems }: PolicyStatus): readonly string[] {
  const why = reason === '' || problems.includes(reason) ? [] : [reason];
  return [...why, ...problems].map((problem) => `policy: ${problem}`);
}

/** The reason is often one of the problems, and is told with the pods that wait for it. */
function fabricProblems({ isReady, isOpen, reason, problems }: FabricStatus): readonly string[] {
  const others = isReady ? problems : problems.filter((problem) => problem !== reason);
  const why = isReady || !isOpen ? [] : [reason];
  return [...why, ...others].map((problem) => `fabric: ${problem}`);
}

function familyProblems(status: FamilyStatus): readonly string[] {
  const { family, isSynced, isHealthy, lastSyncAt, lastError } = status;
  if (lastError !== undefined) return [`IPv${family}: the last sync failed: ${lastError.reason}`];
  if (!isHealthy) return [`IPv${family}: changes wait for too long`];
  if (isSynced && lastSyncAt === undefined) return [`IPv${family}: no rules are in place yet`];
  return [];
}
