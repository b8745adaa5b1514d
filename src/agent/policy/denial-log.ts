import { openConntrack } from '../../kernel/conntrack.ts';
import { openPacketLog, type PacketLog } from '../../kernel/packet-log.ts';
import type { Conntrack } from '../../kernel/types.ts';
import type { LoggedPacket } from '../../netlink/nflog/logged-packet.ts';
import { DENIED_LOG_GROUP } from '../../policy/log-group.ts';
import type { PolicyWorld } from '../../policy/world.ts';
import { Reminder } from '../../util/complaints.ts';
import type { Logger } from '../../util/log.ts';
import { BoundedFrequencyRunner } from '../../util/runner.ts';
import type { AgentContext } from '../context.ts';
import type { EventSink } from '../objects/events.ts';
import { DenialEvents } from './denial-events.ts';
import { Denials, type HandedOver, type ToldDenial } from './denials.ts';

export interface DenialLog {
  /** Whether the log group is read from now on. */
  listen(isWanted: boolean): void;
  readonly isListening: boolean;
  /** Those with a number above `after`, oldest first, as far as they are kept. */
  recent(after?: number): readonly ToldDenial[];
  counts(): HandedOver;
  /** Tells each from now on. */
  follow(listener: (denial: ToldDenial) => void): { close(): void };
}

export interface DenialLogOptions {
  /** The policies of now. */
  readonly world: () => PolicyWorld;
  readonly uidOf: (pod: string) => string | undefined;
  readonly events: EventSink;
}

/** Where another process has the group. */
const RETRY_MS = 30_000;
/** Who changes the setting to and fro has the group no more often. */
const SETTINGS_MS = 1_000;
const REMIND_MS = 3_600_000;

/** Tells of connections that policies deny, as long as somebody wants it. */
export function startDenialLog(
  { clock, log: parent, lifecycle }: Pick<AgentContext, 'clock' | 'log' | 'lifecycle'>,
  { world, uidOf, events }: DenialLogOptions,
): DenialLog {
  const log = parent.child({ component: 'policy' });
  const told = new DenialEvents({ events, clock, uidOf });
  const conntrack = openConntrack();
  const listeners = new Set<(denial: ToldDenial) => void>();
  const denials = new Denials({
    ...{ world, clock, log },
    flowOf: (packet) => conntrack.flowOf(packet),
    onTold: (denial) => {
      told.tell(denial);
      for (const listener of listeners) listener(denial);
    },
  });
  const source = new Source((packets) => denials.add(packets), clock, log);
  lifecycle.onShutdown('denied connections', () => source.close(conntrack));
  return {
    listen: (isWanted) => source.listen(isWanted),
    get isListening() {
      return source.isWanted;
    },
    recent: (after) => denials.recent(after),
    counts: () => ({ ...denials.counts, lost: source.lost }),
    follow: (listener) => {
      listeners.add(listener);
      return { close: () => void listeners.delete(listener) };
    },
  };
}

/** Binds the group while that is wanted, again and again while somebody else has it. */
class Source {
  readonly #runner: BoundedFrequencyRunner;
  #isWanted = false;
  /** Of those that are closed. */
  #lost = 0;
  #packets: PacketLog | undefined;

  constructor(
    listener: (packets: readonly LoggedPacket[]) => void,
    clock: AgentContext['clock'],
    log: Logger,
  ) {
    const reminder = new Reminder(clock, REMIND_MS);
    const bind = () => {
      if (!this.#isWanted) return;
      this.#packets ??= openPacketLog({ group: DENIED_LOG_GROUP }, listener);
    };
    this.#runner = new BoundedFrequencyRunner(async () => bind(), {
      ...{ minIntervalMs: SETTINGS_MS, retryIntervalMs: RETRY_MS, clock },
      onError: (err) => {
        const message = 'denied connections are not told: the log group is not to be had';
        if (reminder.isDue(err.message)) log.warn({ err, group: DENIED_LOG_GROUP }, message);
      },
    });
  }

  get isWanted(): boolean {
    return this.#isWanted;
  }

  get lost(): number {
    return this.#lost + (this.#packets?.lost ?? 0);
  }

  listen(isWanted: boolean): void {
    this.#isWanted = isWanted;
    if (isWanted) this.#runner.trigger();
    else this.#release();
  }

  async close(conntrack: Conntrack): Promise<void> {
    await this.#runner.stop();
    this.#release();
    conntrack.close();
  }

  #release(): void {
    this.#lost = this.lost;
    this.#packets?.close();
    this.#packets = undefined;
  }
}
