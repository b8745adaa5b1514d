import { join } from 'node:path';
import { readBootId } from '../../cni/machine.ts';
import { openRecords } from '../../cni/upkeep/records.ts';
import type { AgentContext } from '../context.ts';
import { debugSocketPath } from './protocol.ts';
import { DebugServer } from './server.ts';
import type { DebugSubjects } from './subjects.ts';

/** What of the agent is told; the rest is the same for every question. */
export type AskedComponents = Omit<DebugSubjects, 'context' | 'records'>;

/**
 * Answers what people ask a running agent on `<run directory>/agent.sock` (protocol.ts). Where there
 * can be no such socket the agent works without.
 */
export function startDebug(context: AgentContext, components: AskedComponents): void {
  try {
    const server = listen(context, components);
    context.lifecycle.onShutdown('debug socket', () => server.close());
  } catch (err) {
    context.log.warn({ err }, 'no debug socket, questions will not be answered');
  }
}

function listen(context: AgentContext, components: AskedComponents): DebugServer {
  const { config, clock, log, descriptors } = context;
  const records = openRecords(join(config.runDir, 'attachments'), {
    bootId: readBootId,
    now: () => clock.now(),
  });
  const subjects: DebugSubjects = { context, records, ...components };
  return DebugServer.listen({
    path: debugSocketPath(config.runDir),
    clock,
    log: log.child({ component: 'debug' }),
    most: descriptors.limits.debug,
    answer: async ({ question, request }, signal) => question.answer(request, subjects, signal),
  });
}
