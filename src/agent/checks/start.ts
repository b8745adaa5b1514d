import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { AttachmentRecords } from '../../cni/attachment-records.ts';
import { readBootId } from '../../cni/machine.ts';
import { openRecords } from '../../cni/upkeep/records.ts';
import type { AgentContext } from '../context.ts';
import { nodeOf } from '../objects/events.ts';
import type { RunningParts } from '../running-parts.ts';
import { checkedAgent } from './checked-agent.ts';
import type { CheckedNode } from './checked-node.ts';
import { checkedPods } from './checked-pods.ts';
import { NodeCheckRunner, type NodeChecks } from './node-checks.ts';
import { openSubjects } from './subjects.ts';

/** Looks at the node now and then, for metrics and Events, and when somebody asks. */
export function startChecks(context: AgentContext, parts: RunningParts): NodeChecks {
  const { config, clock, log, lifecycle, metrics } = context;
  const records = openRecords(join(config.runDir, 'attachments'), {
    bootId: readBootId,
    now: () => clock.now(),
  });
  const runner = new NodeCheckRunner({
    subjects: openSubjects(),
    node: () => checkedNode(context, parts, records),
    clock,
    log: log.child({ component: 'checks' }),
    intervalMs: 1000 * config.own.checkIntervalSeconds,
    report: (event) =>
      parts.objects?.events.send({
        ...{ about: nodeOf(config), controller: 'weft', action: 'CheckNode', ...event },
      }),
  });
  lifecycle.onShutdown('checks', () => runner.close());
  metrics.observeChecks(() => runner.last()?.findings ?? []);
  return runner;
}

function checkedNode(
  context: AgentContext,
  parts: RunningParts,
  records: AttachmentRecords,
): CheckedNode {
  const { runDir: run, own, cni } = context.config;
  return {
    directories: {
      ...{ run, state: own.stateDir, ipam: cni.ipamDirectory, conf: cni.confDirectory },
      bin: cni.binDirectory ?? (existsSync(MOUNTED_BIN) ? MOUNTED_BIN : DEFAULT_BIN),
    },
    pods: checkedPods(records),
    agent: checkedAgent(context, parts),
  };
}

/** Where the manifests mount that of the host. */
const MOUNTED_BIN = '/host/opt/cni/bin';
/** Where runtimes look for plugins unless told otherwise. */
export const DEFAULT_BIN = '/opt/cni/bin';
