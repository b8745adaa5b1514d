/**
 * What stands in for kubectl, kubeadm and ctr where a page's commands are run: programs of these names that hand
 * their words to the test, and the part of kubectl's command line that the pages use. Anything else is refused.
 */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';

export interface KubectlWords {
  readonly verb: string;
  /** What is neither verb nor flag: `daemonset/weft`, `node1`, `network=weft`. */
  readonly rest: readonly string[];
  /** By name, without dashes; a flag without value is `true`. */
  readonly flags: Readonly<Record<string, string>>;
  /** After `--`. */
  readonly command: readonly string[];
}

/** Gives what is printed; throws what is printed to stderr. */
export type Program = (words: readonly string[]) => Promise<string>;

const WITH_VALUE = new Set(['n', 'f', 'l', 'c', 'p', 'field-selector']);
const WITHOUT_VALUE = new Set([
  ...['overwrite', 'all', 'A', 'prefix', 'ignore-daemonsets', 'delete-emptydir-data'],
]);

export function parseKubectl(words: readonly string[]): KubectlWords {
  const end = words.indexOf('--');
  const own = end < 0 ? words : words.slice(0, end);
  const flags: Record<string, string> = {};
  const rest: string[] = [];
  for (let i = 0; i < own.length; i++) {
    const word = own[i] ?? '';
    const [, name = '', value] = /^--?([A-Za-z-]+)(?:=(.*))?$/.exec(word) ?? [];
    if (name === '') rest.push(word);
    else if (name === 'tail' && value !== undefined) flags[name] = value;
    else if (WITH_VALUE.has(name)) flags[name] = own[++i] ?? '';
    else if (WITHOUT_VALUE.has(name)) flags[name] = 'true';
    else throw new Error(`unknown flag: ${word}`);
  }
  const [verb = '', ...others] = rest;
  return { verb, rest: others, flags, command: end < 0 ? [] : words.slice(end + 1) };
}

const CLIENT = new URL('stand-in.ts', import.meta.url).pathname;

/** Programs of these names in a directory for PATH; while it is open they end up here. */
export class StandIns {
  readonly #directory: string;
  readonly #server: Server;

  private constructor(directory: string, server: Server) {
    this.#directory = directory;
    this.#server = server;
  }

  static async open(
    directory: string,
    programs: Readonly<Record<string, Program>>,
  ): Promise<StandIns> {
    mkdirSync(directory, { recursive: true });
    for (const name of Object.keys(programs)) {
      const path = join(directory, name);
      writeFileSync(path, `#!/bin/sh\nexec ${process.execPath} ${CLIENT} ${name} "$@"\n`);
      chmodSync(path, 0o755);
    }
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      let question = '';
      socket.on('data', (bytes) => {
        question += bytes.toString();
      });
      socket.once('end', async () => {
        const [name = '', ...words]: string[] = JSON.parse(question);
        socket.end(JSON.stringify(await answer(programs[name], words)));
      });
    });
    await new Promise<void>((resolve) => server.listen(join(directory, 'socket'), resolve));
    return new StandIns(directory, server);
  }

  /** For a shell that is to find them before others. */
  get environment(): NodeJS.ProcessEnv {
    const path = `${this.#directory}:${process.env['PATH']}`;
    return { ...process.env, PATH: path, STAND_IN_SOCKET: join(this.#directory, 'socket') };
  }

  close(): void {
    this.#server.close();
  }
}

async function answer(program: Program | undefined, words: readonly string[]) {
  try {
    return { stdout: await program?.(words), stderr: '' };
  } catch (thrown) {
    return { stdout: '', stderr: `${String(thrown)}\n` };
  }
}
