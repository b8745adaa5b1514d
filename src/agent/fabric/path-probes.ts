import { randomBytes } from 'node:crypto';
import {
  askingAddresses,
  type PathFinding,
  pathProblem,
  pathsTo,
} from '../../fabric/probe/path.ts';
import { Prober } from '../../fabric/probe/prober.ts';
import type { FabricReport } from '../../fabric/report.ts';
import type { RouteLookup } from '../../kernel/types.ts';
import { Reminder, summarized } from '../../util/complaints.ts';
import type { ClusterContext } from '../cluster-context.ts';
import { nodeOf } from '../objects/events.ts';
import { NodeCondition } from './node-condition.ts';
import { pathCondition } from './path-condition.ts';
import { openProbeSocket } from './probe-socket.ts';

export interface PathProbes {
  /** Looks at the paths that there are now. */
  follow(report: FabricReport): void;
  /** What was found last, of each path that was looked at. */
  findings(): readonly PathFinding[];
  problems(): readonly string[];
  /** Where questions are listened for; undefined while another program has the port. */
  port(): number | undefined;
}

const SAID_AGAIN_MS = 3_600_000;
/** A Node that is deleted and made again has lost its condition. */
const LOOK_EVERY_MS = 600_000;
const NO_PROBES: PathProbes = {
  ...{ follow: () => {}, findings: () => [], problems: () => [], port: () => undefined },
};

/** Looks whether what pods send arrives at other nodes, and says where it does not. */
export function startPathProbes(context: ClusterContext, rtnl: RouteLookup): PathProbes {
  const { config, clock, lifecycle, objects } = context;
  const { probePort: port } = config.fabric;
  if (port === 0) return NO_PROBES;
  const log = context.log.child({ component: 'fabric' });
  const reminder = new Reminder(clock, SAID_AGAIN_MS);
  const found = new Map<string, PathFinding>();
  const { socket, isOpen, problems } = openProbeSocket(port, clock);
  const problemsNow = () =>
    summarized([...found.values()].flatMap((each) => pathProblem(each) ?? []));
  const tellNode = nodeTeller(context);
  let paths: number | undefined;
  /** All is well only once all was looked at: what a former run has found may still be so. */
  const tell = (note: string) => {
    if (note !== '' || (found.size > 0 && found.size === paths)) tellNode(note);
  };
  const prober = new Prober({
    ...{ socket, port, clock },
    randomId: () => randomBytes(8).readBigUInt64BE(),
    knownMtu: (to) => rtnl.routeTo(to)?.mtu,
    onFinding: (finding) => {
      found.set(finding.path.target, finding);
      const note = problemsNow().join('; ');
      tell(note);
      if (!reminder.isDue(note) || note === '') return;
      log.warn({ problems: note }, 'packets of pods do not arrive at other nodes');
      const about = nodeOf(config);
      objects.events.send({
        ...{ about, type: 'Warning', reason: 'PathMTU', controller: 'weft' },
        ...{ action: 'ProbePath', note },
      });
    },
  });
  lifecycle.onShutdown('path probes', () => prober.close());
  return {
    follow({ peers, mtu }) {
      const ways = pathsTo(peers);
      const targets = new Set<string>(ways.map(({ target }) => target));
      for (const target of found.keys()) if (!targets.has(target)) found.delete(target);
      paths = targets.size;
      tell(problemsNow().join('; '));
      if (mtu !== undefined) prober.follow(ways, mtu, askingAddresses(peers));
    },
    findings: () => [...found.values()],
    problems: () => [...problems(), ...problemsNow()],
    port: () => (isOpen() ? port : undefined),
  };
}

/** Writes what differs from what the Node says. Where it cannot, the log says why. */
function nodeTeller({
  config,
  clock,
  lifecycle,
  log,
  objects,
}: ClusterContext): (note: string) => void {
  const { client } = objects;
  if (client === undefined) return () => {};
  const condition = new NodeCondition({
    ...{ client, clock, log, nodeName: config.nodeName },
    ...{ random: Math.random, signal: lifecycle.signal },
  });
  let told: string | undefined;
  let dueAtMs = 0;
  return (note) => {
    if (note === told && clock.elapsed() < dueAtMs) return;
    told = note;
    dueAtMs = clock.elapsed() + LOOK_EVERY_MS;
    condition.set(pathCondition(note));
  };
}
