import type { FlagValues } from '../agent/config/kube-proxy-flags.ts';
import type { NodeRecords } from '../agent/debug/lists/on-record.ts';
import type { Listing } from '../agent/debug/lists/values.ts';
import type { DebugRequest } from '../agent/debug/protocol.ts';
import { IoError } from '../util/errors.ts';
import type { CommandEffects } from './effects.ts';
import type { ListEffects } from './list.ts';
import { ask, runDirOf } from './question.ts';

export type RecordEffects = ListEffects & Pick<CommandEffects, 'readNodeRecords'>;

/**
 * The agent's answer, or where none answers what the records on disk give. Throws what asking failed with where
 * they cannot be read either: only root may do that.
 */
export async function askOrRead<T>(
  flags: FlagValues,
  request: DebugRequest,
  effects: RecordEffects,
  read: (records: NodeRecords) => Promise<Listing<T>>,
): Promise<Listing<T>> {
  try {
    // The agent answers a request of this command with this shape.
    return (await ask(flags, request, effects)) as Listing<T>;
  } catch (thrown) {
    if (!(thrown instanceof IoError)) throw thrown;
    let records: NodeRecords;
    try {
      records = await effects.readNodeRecords(runDirOf(flags, effects));
    } catch {
      throw thrown;
    }
    return { ...(await read(records)), isOnRecord: true };
  }
}

/** What stands below a list that no agent has given. */
export function recordNote({ isOnRecord }: Listing<unknown>): string {
  return isOnRecord ? 'no agent answers: this is what its records say\n' : '';
}
