import { connect } from 'node:net';
import { errorCode, IoError } from '../util/errors.ts';
import { parseReply, type ReplyLine } from './bird-reply.ts';

/** Sends one command to BIRD and gives its answer. Throws IoError when none comes. */
export type AskBird = (command: string) => Promise<readonly ReplyLine[]>;

/** BIRD answers at once; it reads a configuration of thousands of lines in less. */
const TIMEOUT_MS = 5_000;
/** About 500 bytes a session are told. */
const MOST_BYTES = 8 * 1024 * 1024;

/** Asks the BIRD that listens on this socket: one connection for each command. */
export function openBirdSocket(path: string): AskBird {
  return (command) =>
    new Promise((resolve, reject) => {
      const socket = connect(path);
      let text = '';
      let isGreeted = false;
      const fail = (reason: string, cause?: unknown) => {
        socket.destroy();
        reject(new IoError(`ask BIRD at ${path}: ${reason}`, { cause }));
      };
      socket.setTimeout(TIMEOUT_MS, () => fail(`no answer within ${TIMEOUT_MS} ms`));
      socket.setEncoding('utf8');
      socket.on('data', (piece: string) => {
        text += piece;
        if (text.length > MOST_BYTES) return fail('its answer is too long');
        const lines = parseReply(text);
        if (lines === undefined) return;
        if (isGreeted) {
          socket.destroy();
          resolve(lines);
          return;
        }
        isGreeted = true;
        text = '';
        socket.write(`${command}\n`);
      });
      socket.on('error', (error) => fail(errorCode(error) ?? 'failed', error));
      socket.on('close', () => fail('it ended before it had answered'));
    });
}
