import { readBootId } from '../../cni/machine.ts';
import type { Bypass } from '../../cni/upkeep/same-node.ts';
import { openConntrack } from '../../kernel/conntrack.ts';
import { NftablesConnection } from '../../nftables/connection.ts';
import { Enforcer, type EnforcerSettings } from '../../policy/enforcer.ts';
import { DENIED_LOG_GROUP } from '../../policy/log-group.ts';
import { Audit } from '../../util/audit.ts';
import { summarized } from '../../util/complaints.ts';
import type { ClusterContext } from '../cluster-context.ts';
import type { AgentConfig } from '../config/agent-config.ts';
import type { AgentContext } from '../context.ts';
import { type PolicyFigures, policyStatus } from '../status/policy-status.ts';
import type { PolicyStatus } from '../status/values.ts';
import { type DenialLog, startDenialLog } from './denial-log.ts';
import { PolicyLife } from './life.ts';
import type { PolicyNode } from './node.ts';
import { ObstacleWatch } from './obstacle-watch.ts';
import { PolicyTotals } from './policy-totals.ts';
import type { PolicyView } from './view.ts';

/** What others ask about policies. */
export interface PolicyComponent {
  readonly status: () => PolicyStatus;
  /** Why policies do not hold on this node; empty while they do. */
  readonly whyNotReady: () => string;
  readonly view: PolicyView;
}

/** What other components know of this node. */
export interface PolicySurroundings {
  /** Of the proxy in this agent; undefined where it has none. */
  readonly proxyMode: string | undefined;
  /** Ways by which packets of pods pass by the rules; undefined while nobody has looked yet. */
  readonly bypasses: () => readonly Bypass[] | undefined;
}

/**
 * Starts the enforcement of policies on a source that is not started yet. What is in the kernel stays as it
 * is until everything was read.
 */
export function startPolicy(
  context: ClusterContext,
  node: PolicyNode,
  { proxyMode, bypasses }: PolicySurroundings,
): PolicyComponent {
  const { config, clock, lifecycle, metrics, objects } = context;
  const log = context.log.child({ component: 'policy' });
  const enforcer = openEnforcer(context);
  const obstacles = new ObstacleWatch(proxyMode, { clock, log });
  const onPodWaited = metrics.observePolicy(() => figures());
  const life = new PolicyLife({
    ...node,
    ...{ enforcement: enforcer, onPodWaited, clock, log },
    obstacle: () => obstacles.found,
    bypasses,
    source: objects.source,
    nodeName: config.nodeName,
    gate: { component: 'policy', runDirectory: config.runDir, bootId: readBootId },
  });
  const denials = logDenials(context, node, enforcer);
  followSettings(context, enforcer, denials);
  const totals = new PolicyTotals({
    ...{ clock, read: () => enforcer.counters() },
    onError: (err) => log.debug({ err }, 'counters of policies not read'),
  });
  metrics.observePolicyCounts({
    totals: () => totals.totals(),
    denials: () => denials.counts(),
  });
  lifecycle.onShutdown('policy', async () => {
    await Promise.all([life.close(), obstacles.close()]);
    await enforcer.close();
  });
  const figures = (): PolicyFigures => {
    const { report } = enforcer;
    return {
      reason: life.whyNotReady(),
      policies: life.feed.policies,
      localPods: node.localPods.size,
      subjects: report.subjects,
      readsAllPods: life.feed.readsAllPods,
      elements: report.elements,
      generation: report.generation ?? 0,
      lastCommitMs: report.lastCommit?.ms,
      repairs: report.repairs,
      waiting: node.admission.waiting,
      overBudget: report.overBudget,
      problems: [...life.problems(), ...problemsOf(report)],
    };
  };
  return {
    status: () => policyStatus(figures()),
    whyNotReady: () => life.whyNotReady(),
    view: {
      whyNotReady: () => life.whyNotReady(),
      world: () => enforcer.world(),
      counters: () => totals.totals(),
      isLocal: (pod) => node.localPods.get(pod) !== undefined,
      denied: (after) => denials.recent(after),
      tellsDenied: () => denials.isListening,
      followDenied: (listener) => denials.follow(listener),
    },
  };
}

/** With an audit: what somebody changed unseen comes back. */
function openEnforcer(context: ClusterContext): Enforcer {
  const { config, clock, lifecycle, nodeEvents } = context;
  const log = context.log.child({ component: 'policy' });
  const conntrack = openConntrack();
  lifecycle.onShutdown('conntrack', () => conntrack.close());
  const enforcer = new Enforcer({
    ...{ nodeName: config.nodeName, clock, log, conntrack, events: nodeEvents },
    connection: NftablesConnection.open(),
    settings: settingsOf(config),
  });
  const audit = new Audit({
    clock,
    parts: () => enforcer.auditedParts(),
    onDifference: ({ what, differences }, isNews) => {
      log[isNews ? 'warn' : 'debug']({ what, differences }, 'kernel differs, reading it back');
      enforcer.resync();
    },
    onError: (what, err) => log.debug({ what, err }, 'kernel not compared'),
  });
  audit.start();
  lifecycle.onShutdown('audit of policies', () => audit.stop());
  return enforcer;
}

function followSettings({ config, live }: AgentContext, enforcer: Enforcer, denials: DenialLog) {
  denials.listen(config.policy.logDenied);
  live.follow((changed) => {
    enforcer.reconfigure(settingsOf(changed));
    denials.listen(changed.policy.logDenied);
  });
}

function settingsOf({ policy, fabric }: AgentConfig): EnforcerSettings {
  return {
    deniedInside: policy.deniedInside,
    clusterCIDRs: fabric.clusterCIDRs,
    logGroup: policy.logDenied ? DENIED_LOG_GROUP : undefined,
  };
}

function logDenials(context: ClusterContext, node: PolicyNode, enforcer: Enforcer): DenialLog {
  return startDenialLog(context, {
    world: () => enforcer.world(),
    uidOf: (pod) => node.localPods.get(pod)?.uid,
    events: context.objects.events,
  });
}

/** What of policies cannot be enforced as it is written, and what the kernel refused. */
function problemsOf({ error, problems }: Enforcer['report']): readonly string[] {
  const texts = problems.map(({ policy, problem }) => `${policy}: ${problem}`);
  const failed = error === undefined ? [] : [`not in the kernel: ${error}`];
  return [...failed, ...summarized(texts)];
}
