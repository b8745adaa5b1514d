import type { NodeChecks } from './checks/node-checks.ts';
import type { CniComponent } from './cni-component.ts';
import type { AgentContext } from './context.ts';
import type { OpenedSource } from './objects/opened-source.ts';
import type { RunningParts } from './running-parts.ts';
import { auditStatus } from './status/audit-status.ts';
import { readCniStatus } from './status/cni-status.ts';
import { isFailingTraffic } from './status/finding.ts';
import {
  type AgentStatus,
  findProblems,
  type RunningCniStatus,
  type SourceStatus,
} from './status/values.ts';
import { WEFT_VERSION } from './version.ts';

/** The same with what looks at the node. */
export interface CheckedParts extends RunningParts {
  readonly checks: NodeChecks;
}

/** What `weft status` tells, read at this moment. */
export function agentStatus(context: AgentContext, parts: CheckedParts): AgentStatus {
  const { config, clock } = context;
  const { components, nodeName: node, runDir } = config;
  const proxy = parts.proxy?.status();
  const source = parts.objects && sourceStatus(context, parts.objects);
  const cni = parts.cni && cniStatus(context, parts.cni);
  const fabric = parts.fabric?.status();
  const policy = parts.policy?.status();
  const checks = parts.checks.last();
  const routing = parts.routing?.status();
  const told = {
    ...(proxy === undefined ? {} : { proxy }),
    ...(source === undefined ? {} : { source }),
    ...(cni === undefined ? {} : { cni }),
    ...(fabric === undefined ? {} : { fabric }),
    ...(policy === undefined ? {} : { policy }),
    ...(checks === undefined ? {} : { checks }),
    ...(routing === undefined ? {} : { routing }),
  };
  const problems = [
    ...(parts.proxy?.problems() ?? []),
    ...(parts.fabric?.problems() ?? []),
    ...(routing?.problems ?? []),
    ...findProblems(told),
    ...context.problems.find(),
  ];
  return {
    isRunning: true,
    isHealthy: problems.length === 0 && checks?.findings.some(isFailingTraffic) !== true,
    problems,
    now: timeText(clock.now()),
    startedAt: timeText(parts.startedAtMs),
    version: WEFT_VERSION,
    nodeVersion: process.version,
    pid: process.pid,
    node,
    runDir,
    components: [...components],
    residentBytes: process.memoryUsage.rss(),
    ...told,
  };
}

function cniStatus({ config }: AgentContext, cni: CniComponent): RunningCniStatus {
  const audits = cni.audits();
  const status = readCniStatus({ runDir: config.runDir, ...config.cni });
  return {
    ...status,
    doubts: [...status.doubts, ...cni.differing()],
    ...(audits.length === 0 ? {} : { audit: auditStatus(audits) }),
  };
}

function sourceStatus(
  { config }: AgentContext,
  { source, location, foundBy, etcd, counts, problems, passedOver }: OpenedSource,
): SourceStatus {
  const { lastEventAtMs } = source;
  const found = foundBy();
  return {
    kind: config.source.kind === 'none' ? 'manifests' : config.source.kind,
    location: location(),
    ...(found === undefined ? {} : { foundBy: found }),
    ...(etcd === undefined ? {} : { etcd: etcd() }),
    isSynced: source.hasSynced(),
    ...(lastEventAtMs === undefined ? {} : { lastEventAt: timeText(lastEventAtMs) }),
    problems: problems(),
    passedOver: passedOver(),
    resources: counts().map(({ resource, lists, watches, failures, withheld, isRestored }) => {
      return { resource, lists, watches, failures, withheld, isRestored };
    }),
  };
}

function timeText(atMs: number): string {
  return new Date(atMs).toISOString();
}
