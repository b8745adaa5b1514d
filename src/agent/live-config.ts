import type { Clock } from '../util/clock.ts';
import { toError } from '../util/errors.ts';
import type { Logger } from '../util/log.ts';
import type { AgentConfig } from './config/agent-config.ts';
import { type ConfigSource, planReload } from './config/reload.ts';
import { watchFile } from './file-watch.ts';

/** What became of one changed file. */
export type ReloadResult = 'applied' | 'restart_needed' | 'unchanged' | 'invalid';

type Follower = (config: AgentConfig) => void;

/** The configuration an agent runs with, which its file may change. */
export class LiveConfig {
  #current: AgentConfig;
  readonly #followers: Follower[] = [];

  constructor(config: AgentConfig) {
    this.#current = config;
  }

  get current(): AgentConfig {
    return this.#current;
  }

  /** Calls back with every later configuration. */
  follow(follower: Follower): void {
    this.#followers.push(follower);
  }

  replace(config: AgentConfig): void {
    this.#current = config;
    for (const follower of this.#followers) follower(config);
  }
}

export interface ReloadOptions {
  readonly source: ConfigSource;
  readonly live: LiveConfig;
  readonly clock: Clock;
  readonly log: Logger;
  readonly reloaded: (result: ReloadResult) => void;
}

/**
 * Applies what changes in the configuration file to the running agent. A file that is wrong or gone
 * changes nothing: the agent goes on as it is and says why.
 */
export function followConfigFile(options: ReloadOptions): { close(): void } {
  const { source, clock, log } = options;
  return watchFile(source.path, {
    clock,
    onChange: () => options.reloaded(reload(options)),
    onFailure: (err) => log.warn({ file: source.path, err }, 'configuration file not watched'),
  });
}

/** Reads the file again and applies what can be applied. */
export function reload({
  source,
  live,
  log,
}: Pick<ReloadOptions, 'source' | 'live' | 'log'>): ReloadResult {
  const file = source.path;
  try {
    const wanted = source.read();
    const { config, applied, kept } = planReload(live.current, wanted);
    for (const warning of wanted.warnings) log.warn({ warning }, 'configuration warning');
    if (kept.length > 0) {
      log.warn({ file, keys: kept }, 'configuration keys need a restart, old values kept');
    }
    if (applied.length > 0) {
      live.replace(config);
      log.info({ file, keys: applied }, 'configuration reloaded');
      return 'applied';
    }
    return kept.length > 0 ? 'restart_needed' : 'unchanged';
  } catch (thrown) {
    const reason = toError(thrown).message;
    log.error({ file, reason }, 'configuration file not usable, the running one is kept');
    return 'invalid';
  }
}
