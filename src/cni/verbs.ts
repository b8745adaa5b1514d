/** Executions of the plugin, one or several at once. */
import { toError } from '../util/errors.ts';
import type { CniNode } from './node.ts';
import type { DelCall, Plugin } from './plugin.ts';
import { deleteEach } from './plugins/weft.ts';
import type { Outcome } from './protocol/outcome.ts';
import { type Invocation, Session } from './session.ts';

/** Runs any CNI call and never throws: a failure is an error object on stdout and exit code 1. */
export function runVerb(invocation: Invocation, node: CniNode): Outcome {
  const session = new Session(invocation, node);
  session.start();
  endDeletions([session]);
  return session.outcome;
}

/** The same for several at once. Their DELs go last and together, which costs one wait, not many. */
export function runVerbs(invocations: readonly Invocation[], node: CniNode): readonly Outcome[] {
  const sessions = invocations.map((invocation) => new Session(invocation, node));
  for (const session of sessions) session.start();
  endDeletions(sessions);
  return sessions.map(({ outcome }) => outcome);
}

/** Never throws: each session ends with its own outcome. */
function endDeletions(sessions: readonly Session[]): void {
  const claimed = new Set<string>();
  for (const session of sessions) session.claim(claimed);
  const byPlugin = Map.groupBy(
    sessions.flatMap((session) =>
      session.deletion === undefined ? [] : { session, ...session.deletion },
    ),
    ({ plugin }) => plugin,
  );
  for (const [plugin, deletions] of byPlugin) {
    const errors = deleteAll(
      plugin,
      deletions.map(({ call }) => call),
    );
    for (const [index, { session }] of deletions.entries()) session.end(errors[index]);
  }
}

function deleteAll(plugin: Plugin, calls: readonly DelCall[]): readonly (Error | undefined)[] {
  try {
    return deleteEach(plugin, calls);
  } catch (thrown) {
    const error = toError(thrown);
    return calls.map(() => error);
  }
}
