/**
 * Taking the place of a kube-proxy. In nftables mode its tables serve until ours do, then they go; the
 * chains of its iptables mode have the names of ours, so that there it is in place.
 */
import type { IPFamily } from '../../net/ip.ts';
import type { Table } from '../../nftables/model.ts';
import { tableText } from '../../nftables/text.ts';
import { afterFirstCommit, type FirstCommits } from '../../proxy/after-first-commit.ts';
import type { CommitListener } from '../../proxy/commit-listener.ts';
import type { Clock } from '../../util/clock.ts';
import { toError } from '../../util/errors.ts';
import type { Logger } from '../../util/log.ts';
import { type KubeProxyProcess, stopAdvice } from './kube-proxy-process.ts';

/** What taking over touches, so that tests can stand in for it. */
export interface TakeOverKernel {
  hasTable(table: Table): boolean;
  deleteTable(table: Table): void;
  hasChain(table: Table, name: string): boolean;
  /** A kube-proxy of this node's network, among the processes that can be seen. */
  kubeProxy(): KubeProxyProcess | undefined;
  /** False where other processes of the node cannot be seen. */
  seesProcesses(): boolean;
}

export interface TakeOverOptions {
  readonly kernel: TakeOverKernel;
  /** Chains of the names that kube-proxy's iptables mode uses are, or were, of this agent. */
  readonly ownsIptables: boolean;
  readonly clock: Clock;
  readonly log: Logger;
  /** A table of kube-proxy's was removed, or cannot be: for people who look at the Node. */
  readonly report: (type: 'Normal' | 'Warning', note: string) => void;
}

/** How soon it is looked again for a kube-proxy that was seen to run. */
const LOOK_AGAIN_MS = 30_000;
/** A kube-proxy writes its table at least once an hour (its maxInterval); after that it is gone. */
const SILENCE_MS = 65 * 60_000;

/** Where all of them begin in iptables mode; iptables-nft keeps them in nftables tables. */
const IPTABLES_CHAIN = 'KUBE-SERVICES';

/** Removes kube-proxy's table of a family after the first commit of ours. */
export class TakeOver implements CommitListener {
  readonly #options: TakeOverOptions;
  readonly #commits: FirstCommits;
  readonly #warned = new Set<string>();
  readonly #putOff = new Set<IPFamily>();

  constructor(options: TakeOverOptions) {
    this.#options = options;
    this.#commits = afterFirstCommit((family) => this.#attempt(family), options.clock);
  }

  programming(): void {}

  committed(family: IPFamily): void {
    const { begun } = this.#commits;
    if (begun.size === 0) this.#sayWhatIsSeen();
    if (!begun.has(family)) this.#warnOfChains(family);
    this.#commits.committed(family);
  }

  /** Somebody else changed these tables: a kube-proxy that comes back is left alone. */
  noteForeignChange(tables: ReadonlySet<string>): void {
    const { kernel } = this.#options;
    for (const family of this.#commits.begun) {
      const table = kubeProxyTable(family);
      if (!tables.has(tableText(table)) || !kernel.hasTable(table)) continue;
      this.#warn(table, 'kube-proxy writes its table again', kernel.kubeProxy());
      this.#putOff.add(family);
      this.#commits.tryIn(family, SILENCE_MS);
    }
  }

  /** Why two proxies balance Services here, in words. */
  problems(): readonly string[] {
    const running = this.#options.kernel.kubeProxy();
    if (running === undefined) return [];
    return [`kube-proxy runs here too, pid ${running.pid}; ${stopAdvice(running)}`];
  }

  /** Tables of kube-proxy's that are there and cannot go yet. */
  get putOff(): readonly string[] {
    return Array.from(this.#putOff, (family) => tableText(kubeProxyTable(family)));
  }

  /** What is tried ends at once, so there is nothing to wait for. */
  close(): void {
    void this.#commits.close();
  }

  /** When to look again, if the table cannot go yet. */
  #attempt(family: IPFamily): number | undefined {
    const { log } = this.#options;
    const table = kubeProxyTable(family);
    this.#putOff.delete(family);
    try {
      if (this.#remove(table)) return undefined;
    } catch (thrown) {
      const reason = toError(thrown).message;
      log.warn({ table: tableText(table), reason }, "kube-proxy's table not removed");
    }
    this.#putOff.add(family);
    return LOOK_AGAIN_MS;
  }

  /** False while a kube-proxy runs that would write it again. */
  #remove(table: Table): boolean {
    const { kernel, log, report } = this.#options;
    if (!kernel.hasTable(table)) return true;
    const running = kernel.kubeProxy();
    if (running !== undefined) {
      this.#warn(table, 'kube-proxy is running, its table stays', running);
      return false;
    }
    kernel.deleteTable(table);
    log.info({ table: tableText(table) }, 'took over from kube-proxy, its table is removed');
    report('Normal', `took over Services from kube-proxy: removed table ${tableText(table)}`);
    return true;
  }

  #warn(table: Table, message: string, running: KubeProxyProcess | undefined): void {
    const name = tableText(table);
    if (this.#warned.has(name)) return;
    this.#warned.add(name);
    const cure = `both balance Services on this node; ${stopAdvice(running ?? { cgroup: '' })}`;
    this.#options.log.warn({ table: name, pid: running?.pid, cure }, message);
    this.#options.report('Warning', `${message} (${name}); ${cure}`);
  }

  #sayWhatIsSeen(): void {
    if (this.#options.kernel.seesProcesses()) return;
    const cure = 'hostPID: true in the pod of weft, if a kube-proxy may run';
    const seen = 'its tables and its ports';
    this.#options.log.info({ cure, seen }, "the node's processes are not visible");
  }

  #warnOfChains(family: IPFamily): void {
    if (this.#options.ownsIptables) this.#warnOfRival(family);
    else this.#warnOfIptables(family);
  }

  /** Nobody can tell whose chains of these names are: the one that is running repairs them. */
  #warnOfRival(family: IPFamily): void {
    const running = this.#options.kernel.kubeProxy();
    if (running === undefined) return;
    this.#warn(natTable(family), 'kube-proxy is running and may write the same chains', running);
  }

  /** Only named: removing them takes iptables, and is kube-proxy's own `--cleanup`. */
  #warnOfIptables(family: IPFamily): void {
    const table = natTable(family);
    const { kernel, log } = this.#options;
    try {
      if (!kernel.hasChain(table, IPTABLES_CHAIN)) return;
      const running = kernel.kubeProxy();
      const cure =
        running === undefined
          ? 'run kube-proxy --cleanup once to remove them, but not while a kube-proxy runs'
          : stopAdvice(running);
      const facts = { table: tableText(table), chain: IPTABLES_CHAIN, cure };
      log.warn(facts, "chains of kube-proxy's iptables mode are there");
    } catch (thrown) {
      log.debug({ reason: toError(thrown).message }, 'iptables chains not looked for');
    }
  }
}

function natTable(family: IPFamily): Table {
  return { family: family === 4 ? 'ip' : 'ip6', name: 'nat' };
}

function kubeProxyTable(family: IPFamily): Table {
  return { family: family === 4 ? 'ip' : 'ip6', name: 'kube-proxy' };
}
