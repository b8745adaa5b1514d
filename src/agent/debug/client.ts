import { connect } from 'node:net';
import { fileFailure } from '../../util/errno.ts';
import { errorCode, IoError, WeftError } from '../../util/errors.ts';
import { type DebugAnswer, type DebugRequest, debugSocketPath } from './protocol.ts';

/** Beyond what the agent itself takes at most to answer. */
const GRACE_MS = 20_000;
const NOBODY: readonly (string | undefined)[] = ['ENOENT', 'ECONNREFUSED'];

/**
 * Asks the agent that uses this run directory and gives the result of its answer. Throws IoError
 * when no agent answers, and what the agent says is wrong.
 */
export async function askAgent(runDir: string, request: DebugRequest): Promise<unknown> {
  const path = debugSocketPath(runDir);
  const waitMs = request.liveTimeoutMs ?? 0;
  const text = await exchange(path, `${JSON.stringify(request)}\n`, waitMs + GRACE_MS);
  // The agent of this version writes exactly this shape; anything else ends in the error below.
  const answer = JSON.parse(text) as DebugAnswer;
  if ('error' in answer) throw new WeftError(answer.error.code, answer.error.message);
  return answer.result;
}

function exchange(path: string, request: string, timeoutMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    const chunks: Buffer[] = [];
    const fail = (cause: unknown, reason: string) => {
      socket.destroy();
      reject(new IoError(`ask the agent at ${path}: ${reason}`, { cause }));
    };
    socket.setTimeout(timeoutMs, () => fail(undefined, `no answer within ${timeoutMs} ms`));
    socket.on('connect', () => socket.write(request));
    socket.on('data', (bytes: Buffer) => chunks.push(bytes));
    socket.on('error', (error) => fail(error, reasonOf(error)));
    socket.on('end', () => {
      const text = Buffer.concat(chunks).toString();
      if (text.endsWith('\n')) resolve(text);
      else fail(undefined, 'it ended before it had answered');
    });
  });
}

function reasonOf(error: Error): string {
  const code = errorCode(error);
  if (NOBODY.includes(code)) {
    return 'nobody answers; start weft agent, or name its --run-dir';
  }
  return code === 'EACCES' ? 'only root may ask' : fileFailure(error);
}
