/** What a node lets its programs have. Pure. */
import { type Check, type Fact, known } from './check.ts';

export interface LimitFacts {
  /** The error of an attempt to watch a file; undefined: it went well. */
  readonly watch: Fact<string | undefined>;
  readonly inotifyInstances: Fact<number>;
  readonly inotifyWatches: Fact<number>;
  /** Open files of the agent, and how many it may have; undefined without an agent. */
  readonly openFiles: Fact<{ readonly used: number; readonly most: number } | undefined>;
  /** Open files of the node; `most` may be immense. */
  readonly nodeFiles: Fact<{ readonly used: number; readonly most: number }>;
}

/** systemd's since 2018; kubelet, runtime and the pods of root each take some. */
const FEW_INSTANCES = 64;
const NEARLY = 0.9;

const inotify: Check<LimitFacts> = {
  id: 'inotify',
  concernsTraffic: false,
  why: 'weft, the kubelet and the runtime learn of changed files and configuration by inotify',
  judge: (facts) => {
    const error = known(facts.watch);
    const instances = known(facts.inotifyInstances);
    const watches = known(facts.inotifyWatches);
    const seen = `fs.inotify.max_user_instances is ${instances}, max_user_watches ${watches}`;
    if (error === 'ENOSPC') {
      const cure = `sysctl -w fs.inotify.max_user_watches=${Math.max(524_288, 2 * watches)}`;
      return { level: 'failing', seen: `no file can be watched any more: ${seen}`, cure };
    }
    const cure = `sysctl -w fs.inotify.max_user_instances=${Math.max(8_192, 2 * instances)}`;
    if (error !== undefined) {
      const what = error === 'EMFILE' ? 'no inotify instance is left' : `inotify says ${error}`;
      return { level: 'failing', seen: `${what}: ${seen}`, cure };
    }
    if (instances >= FEW_INSTANCES) return { level: 'ok', seen };
    return { level: 'warning', seen, cure };
  },
};

const openFiles: Check<LimitFacts> = {
  id: 'open-files',
  concernsTraffic: false,
  why: 'without a descriptor to spare no pod can be set up and no question be answered',
  judge: (facts) => {
    const node = known(facts.nodeFiles);
    const own = known(facts.openFiles);
    if (node.used >= node.most * NEARLY) {
      const cure = `sysctl -w fs.file-max=${2 * node.most}`;
      return {
        level: 'failing',
        seen: `${node.used} of ${node.most} files of the node are open`,
        cure,
      };
    }
    if (own === undefined) return { level: 'ok', seen: `${node.used} files of the node are open` };
    const seen = Number.isFinite(own.most)
      ? `the agent has ${own.used} of ${own.most} files open`
      : `the agent has ${own.used} files open, without a limit`;
    if (own.used < own.most * NEARLY) return { level: 'ok', seen };
    return { level: 'failing', seen, cure: 'raise LimitNOFILE of the agent (ulimit -n)' };
  },
};

export const LIMIT_CHECKS: readonly Check<LimitFacts>[] = [inotify, openFiles];
