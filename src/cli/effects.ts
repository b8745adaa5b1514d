import type { CleanupOptions, CleanupReport } from '../agent/cleanup/leftover.ts';
import type { AgentConfig, Surroundings } from '../agent/config/agent-config.ts';
import type { ConfigSource } from '../agent/config/reload.ts';
import type { DiskStatus } from '../agent/debug/disk-status.ts';
import type { NodeRecords } from '../agent/debug/lists/on-record.ts';
import type { DebugRequest } from '../agent/debug/protocol.ts';
import type { Step } from '../agent/drop-in/plan.ts';
import type { RemotePageOptions } from '../agent/page/remote.ts';
import type { Findings } from '../agent/status/finding.ts';
import type { PieceOutcome } from '../agent/sysdump/piece.ts';
import type { SysdumpOptions } from '../agent/sysdump/sysdump.ts';
import type { Manifests, ReadableKind } from '../kube/manifests/read-manifests.ts';
import type { Clock } from '../util/clock.ts';
import type { ClusterApi } from './connectivity/cluster.ts';

export interface DropInFlags {
  readonly cniBin: string;
  readonly cniConfDir: string;
  readonly isUndo: boolean;
  readonly isDryRun: boolean;
}

/** What a command may touch. */
export interface CommandEffects {
  readonly surroundings: Surroundings;
  /** Of weft, and of the Node that runs it. */
  readonly versions: { readonly weft: string; readonly node: string };
  /** The directory of the agent where `--run-dir` names none. */
  readonly runDir: string;
  /** What is printed can be drawn over. */
  readonly isScreen: boolean;
  /** People read what is printed, on a screen that shows colours. */
  readonly isTerminal: boolean;
  /** Runs until the agent has stopped; follows the file the configuration came from, if any. */
  readonly runAgent: (config: AgentConfig, source: ConfigSource | undefined) => Promise<void>;
  /** Asks the agent that uses this run directory; the result is that of the request's command. */
  readonly askAgent: (runDir: string, request: DebugRequest) => Promise<unknown>;
  /** What is on record without an agent. */
  readonly readDiskStatus: (runDir: string) => Promise<DiskStatus>;
  /** What of the node itself can be checked without an agent. */
  readonly checkWithoutAgent: (runDir: string) => Promise<Findings>;
  /** The same for lists of pods and addresses. */
  readonly readNodeRecords: (runDir: string) => Promise<NodeRecords>;
  readonly cleanup: (options: CleanupOptions) => Promise<CleanupReport>;
  /** Takes or gives back the names of the reference plugins and tells about each. */
  readonly dropIn: (options: DropInFlags) => Promise<readonly Step[]>;
  /** Serves the page on loopback; `ended` when somebody has ended the command. */
  readonly servePage: (
    options: RemotePageOptions,
  ) => Promise<{ readonly url: string; readonly ended: Promise<void> }>;
  /** Writes a support bundle and gives what became of its pieces. */
  readonly sysdump: (options: SysdumpOptions) => Promise<readonly PieceOutcome[]>;
  readonly readManifests: (directory: string, kinds: readonly ReadableKind[]) => Promise<Manifests>;
  /** A file's text; `-` is standard input. */
  readonly readFile: (path: string) => string;
  /** The files that a configuration file or directory is. */
  readonly configPaths: (path: string) => readonly string[];
  readonly writeFile: (path: string, text: string) => void;
  readonly clock: Pick<Clock, 'now' | 'elapsed'>;
  /** The API server of a kubeconfig, for who may write there. Throws ConfigError. */
  readonly openApi: (kubeconfig: string) => Promise<ClusterApi>;
  /** One at a time on a node; gives what ends it. Throws BusyError. */
  readonly lockConnectivityTest: (runDir: string) => Promise<() => void>;
  /** Calls back once when somebody interrupts; what it gives forgets that. A second time ends the process. */
  readonly onInterrupt: (listener: () => void) => () => void;
  readonly wait: (ms: number) => Promise<void>;
  readonly print: (text: string) => void;
  readonly printError: (text: string) => void;
}
