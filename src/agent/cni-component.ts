import { join } from 'node:path';
import { configDoubts } from '../cni/doubts.ts';
import { openLocalNode } from '../cni/local-node.ts';
import { readBootId } from '../cni/machine.ts';
import { readNetworkConfigs } from '../cni/network-configs.ts';
import { CniServer } from '../cni/server.ts';
import { InsideUpkeep } from '../cni/upkeep/inside-upkeep.ts';
import type { Bypass } from '../cni/upkeep/same-node.ts';
import { Upkeep } from '../cni/upkeep/upkeep.ts';
import type { AuditReport } from '../util/audit.ts';
import { AddressHistory } from './addresses/history.ts';
import type { AgentContext } from './context.ts';
import type { PolicyNode } from './policy/node.ts';
import { stoppedCallsOf } from './sysctl-record.ts';
import { WEFT_VERSION } from './version.ts';

export interface CniComponent {
  /** What a comparison of the node with its records has found; none while there is nothing to compare. */
  audits(): readonly AuditReport[];
  /** What differs inside of pods and is left as it is, in sentences. */
  differing(): readonly string[];
  /** Ways past the policies; undefined before somebody has looked, and without policies. */
  bypasses(): readonly Bypass[] | undefined;
  /** Brings the log of addresses up to date, with what other processes did. */
  settleAddresses(): void;
}

/** Serves the CNI shim on `<run directory>/cni.sock`, and takes care of what it has made. */
export function startCni(context: AgentContext, policy: PolicyNode | undefined): CniComponent {
  const { config, clock, lifecycle, metrics, descriptors } = context;
  const { runDir: runDirectory } = config;
  const log = context.log.child({ component: 'cni' });
  for (const doubt of configDoubts(readNetworkConfigs(config.cni.confDirectory))) log.warn(doubt);
  const local = openLocalNode({
    runDirectory,
    isLongLived: true,
    version: WEFT_VERSION,
    isMasqueradedElsewhere: context.podMasquerade.isFabrics,
  });
  const joined = policy?.join(local) ?? local;
  const history = AddressHistory.start({
    ...{ records: local.records, bootId: readBootId, runDir: runDirectory, clock, log },
  });
  lifecycle.onShutdown('address history', () => history.close());
  const node = { ...joined, records: history.observe(joined.records) };
  const server = CniServer.listen({
    path: join(runDirectory, 'cni.sock'),
    node,
    clock,
    log,
    most: descriptors.limits.cni,
    ...(policy && { waitFor: (env) => policy.admission.waitFor(env) }),
    onServed: metrics.cniRequest,
  });
  lifecycle.onShutdown('cni server', () => server.close());
  const upkeep = Upkeep.start({
    ...config.cni,
    node,
    events: context.nodeEvents,
    runDirectory,
    clock,
    log,
    metrics: metrics.upkeep,
    stoppedCalls: stoppedCallsOf(runDirectory, readBootId()),
  });
  metrics.upkeep.differed(0);
  context.podMasquerade.serve(upkeep);
  lifecycle.onShutdown('cni upkeep', () => upkeep.close());
  const inside = InsideUpkeep.start({
    ...{ node, bootId: readBootId(), clock, log, metrics: metrics.upkeep },
  });
  lifecycle.onShutdown('inside of pods', () => inside.close());
  return {
    audits: () => [upkeep.audited, inside.audited].flatMap((report) => report ?? []),
    differing: () => inside.differing(),
    bypasses: () => upkeep.sameNode.bypasses,
    settleAddresses: () => history.settle(),
  };
}
