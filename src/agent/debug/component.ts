import { join } from 'node:path';
import { readBootId } from '../../cni/machine.ts';
import { openRecords } from '../../cni/upkeep/records.ts';
import type { AgentContext } from '../context.ts';
import { debugSocketPath } from './protocol.ts';
import { DebugServer, type DebugServerOptions } from './server.ts';
import type { DebugSubjects } from './subjects.ts';

/** What of the agent is told; the rest is the same for every question. */
export type AskedComponents = Omit<DebugSubjects, 'context' | 'records'>;

/**
 * Answers what people ask a running agent on `<run directory>/agent.sock` (protocol.ts). Where there
 * can be no such socket the agent works without.
 */
export function startDebug(subjects: DebugSubjects, answer: DebugServerOptions['answer']): void {
  const { context } = subjects;
  try {
    const server = listen(context, answer);
    context.lifecycle.onShutdown('debug socket', () => server.close());
  } catch (err) {
    context.log.warn({ err }, 'no debug socket, questions will not be answered');
  }
}

/** Of a running agent. */
export function debugSubjects(context: AgentContext, components: AskedComponents): DebugSubjects {
  const { config, clock } = context;
  const records = openRecords(join(config.runDir, 'attachments'), {
    bootId: readBootId,
    now: () => clock.now(),
  });
  return { context, records, ...components };
}

function listen(
  { config, clock, log, descriptors }: AgentContext,
  answer: DebugServerOptions['answer'],
): DebugServer {
  return DebugServer.listen({
    path: debugSocketPath(config.runDir),
    clock,
    log: log.child({ component: 'debug' }),
    most: descriptors.limits.debug,
    answer,
  });
}
