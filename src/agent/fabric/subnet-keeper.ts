import { type Choice, chooseSubnets } from '../../fabric/subnets/choose.ts';
import { leaseValue, type OwnNode, type Subnets } from '../../fabric/subnets/lease.ts';
import { type NetworkConfig, parseNetworkConfig } from '../../fabric/subnets/network-config.ts';
import { etcdFailureWords } from '../../kube/etcd/failure-words.ts';
import type { Clock } from '../../util/clock.ts';
import { Reminder } from '../../util/complaints.ts';
import { BusyError, DecodeError, IoError, toError } from '../../util/errors.ts';
import type { Logger } from '../../util/log.ts';
import { BoundedFrequencyRunner } from '../../util/runner.ts';
import { SUBNET_TTL_SECONDS, type SubnetStore } from '../objects/subnet-store.ts';

export interface SubnetKeeperOptions {
  readonly store: Pick<
    SubnetStore,
    'configKey' | 'read' | 'grant' | 'keepAlive' | 'revoke' | 'claim' | 'update'
  >;
  readonly own: () => OwnNode;
  /** What the node had last. */
  readonly former: {
    read(): Subnets | undefined;
    write(subnets: Subnets): void;
  };
  readonly hasPodsIn: (subnets: Subnets) => boolean;
  /** Another configuration counts, or new pods must not start, or may again. */
  readonly onChange: () => void;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Nodes that start together take subnets from one another; each time one of them has got one. */
const MOST_TRIES = 50;
const RETRY_MS = 1_000;
/** Whoever changes the configuration does not wait for longer. */
const LOOK_EVERY_MS = 60_000;
const KEEP_ALIVE_EVERY_MS = (SUBNET_TTL_SECONDS * 1_000) / 3;
const SAID_AGAIN_MS = 600_000;

/**
 * Sees to it that this node has a lease of a subnet: claims one, keeps it alive, claims the same one again
 * when it is lost. A claim that another node was faster with, or a lease that somebody changed meanwhile, is
 * read and decided upon again.
 */
export class SubnetKeeper {
  readonly #options: SubnetKeeperOptions;
  readonly #runner: BoundedFrequencyRunner;
  readonly #said: Reminder;
  #config: NetworkConfig | undefined;
  #configText: string | undefined;
  #problem: string | undefined;
  #barred: string | undefined;
  #aliveAtMs = Number.NEGATIVE_INFINITY;
  #aliveId: string | undefined;

  constructor(options: SubnetKeeperOptions) {
    this.#options = options;
    const { clock } = options;
    this.#said = new Reminder(clock, SAID_AGAIN_MS);
    this.#runner = new BoundedFrequencyRunner(() => this.#look(), {
      ...{ minIntervalMs: 10, retryIntervalMs: RETRY_MS, maxIntervalMs: LOOK_EVERY_MS, clock },
      onError: (error) => this.#note(error),
    });
  }

  /** Undefined before it was read. */
  get config(): NetworkConfig | undefined {
    return this.#config;
  }

  /** What is wrong, in words with the cure. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Why new pods must not start although others run. */
  get barred(): string | undefined {
    return this.#barred;
  }

  /** Something may be other than it was. */
  look(): void {
    this.#runner.trigger();
  }

  async stop(): Promise<void> {
    await this.#runner.stop();
  }

  async #look(): Promise<void> {
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      if (this.#options.signal.aborted || (await this.#settle())) return;
    }
    throw new BusyError(`no subnet after ${MOST_TRIES} tries: other nodes were faster each time`);
  }

  /** True when all is as it ought to be, or nothing can be done about it. */
  async #settle(): Promise<boolean> {
    const { store, own, former, hasPodsIn, random, signal } = this.#options;
    const { configText, leases } = await store.read(signal);
    const config = this.#read(configText);
    const last = former.read();
    const node = own();
    const hasPods = last !== undefined && hasPodsIn(last);
    const choice = chooseSubnets({ config, own: node, leases, former: last, hasPods, random });
    if (choice.kind === 'refuse') {
      this.#tell(choice.reason, hasPods ? choice.reason : undefined);
      return true;
    }
    const isDone = await (choice.kind === 'keep'
      ? this.#keep(choice, leaseValue(node, config))
      : this.#claim(choice.subnets, leaseValue(node, config)));
    if (!isDone) return false;
    former.write(choice.subnets);
    this.#tell(undefined, undefined);
    return true;
  }

  async #keep(
    { lease, isRight }: Extract<Choice, { readonly kind: 'keep' }>,
    text: string,
  ): Promise<boolean> {
    const { store, clock, signal, log } = this.#options;
    const { leaseId, name } = lease;
    const isDue = clock.elapsed() - this.#aliveAtMs >= KEEP_ALIVE_EVERY_MS;
    // A key without a lease of etcd's is a reservation, which somebody has made by hand.
    if (leaseId !== '0' && (isDue || this.#aliveId !== leaseId)) {
      const isAlive = await store.keepAlive(leaseId, signal);
      // Its key is gone too, or will be in a moment.
      if (!isAlive) return false;
      this.#noteAlive(leaseId);
    }
    if (isRight) return true;
    log.info({ subnet: name }, 'subnet lease brought up to date');
    return store.update(lease, text, leaseId, signal);
  }

  async #claim(subnets: Subnets, text: string): Promise<boolean> {
    const { store, signal, log } = this.#options;
    const leaseId = await store.grant(signal);
    const isClaimed = await store.claim(subnets, text, leaseId, signal).catch(async (thrown) => {
      // It would stay for a day, and the next attempt makes another.
      await store.revoke(leaseId, signal).catch(() => undefined);
      throw thrown;
    });
    if (isClaimed) {
      this.#noteAlive(leaseId);
      log.info({ subnets }, 'subnet leased');
      return true;
    }
    await store.revoke(leaseId, signal);
    return false;
  }

  #noteAlive(leaseId: string): void {
    this.#aliveId = leaseId;
    this.#aliveAtMs = this.#options.clock.elapsed();
  }

  /** Throws DecodeError; a wrong configuration leaves what counted before. */
  #read(text: string | undefined): NetworkConfig {
    const { store, onChange } = this.#options;
    if (text === undefined) {
      throw new DecodeError(
        `there is no ${store.configKey}: put one, such as {"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}}`,
      );
    }
    if (this.#config !== undefined && text === this.#configText) return this.#config;
    try {
      this.#config = parseNetworkConfig(text);
    } catch (thrown) {
      throw new DecodeError(`${store.configKey}: ${toError(thrown).message}`);
    }
    this.#configText = text;
    onChange();
    return this.#config;
  }

  #note(error: Error): void {
    const isSilent = error instanceof IoError || error instanceof BusyError;
    // A server that does not answer takes no lease away, and others say that it does not.
    if (isSilent && this.#aliveId !== undefined) return;
    const asked = { verb: 'get', resource: 'subnet leases' } as const;
    const words =
      error instanceof DecodeError ? error.message : etcdFailureWords(error, asked).words;
    this.#tell(`subnet lease: ${words}`, this.#barred);
  }

  #tell(problem: string | undefined, barred: string | undefined): void {
    const { log, onChange } = this.#options;
    const isChanged = problem !== this.#problem || barred !== this.#barred;
    this.#problem = problem;
    this.#barred = barred;
    if (isChanged) onChange();
    if (!this.#said.isDue(problem ?? '') || problem === undefined) return;
    log.warn({ reason: problem }, 'no subnet for this node, trying again');
  }
}
