import type { EventEmitter } from 'node:events';
import type { Logger } from '../util/log.ts';

/**
 * Sends what Node and packages warn of to the log. Node itself would print it as text among the
 * JSON lines; its printer is the listener that is there from the start.
 */
export function logProcessWarnings(process: EventEmitter, log: Logger): void {
  process.removeAllListeners('warning');
  process.on('warning', ({ name, message }: Error) => {
    log.warn({ name, reason: message }, 'warning of the runtime');
  });
}
