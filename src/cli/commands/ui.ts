/** `weft ui`: a page about this node, served by its agent or, on loopback, by this command. */

import { lastText } from '../../agent/config/flag-text.ts';
import type { FlagValues } from '../../agent/config/kube-proxy-flags.ts';
import { parsePageAddress } from '../../agent/config/page-address.ts';
import type { PageAnswer } from '../../agent/page/page-question.ts';
import { formatHostPort } from '../../net/host-port.ts';
import { parseIP } from '../../net/ip.ts';
import type { Command } from '../command.ts';
import type { Declaration } from '../declaration.ts';
import type { CommandEffects } from '../effects.ts';
import {
  ask,
  declareRunDir,
  plain,
  type QuestionEffects,
  runDirOf,
  textFlags,
} from '../question.ts';
import { UsageError } from '../usage.ts';

type UiEffects = QuestionEffects & Pick<CommandEffects, 'servePage'>;

const EPILOGUE = `Prints the address of a page about this node: its uplink, bridge and pods, the other nodes and the ways
to them, Services with their endpoints and connections, what weft doctor finds, denied connections as
they happen, and weft explain between two ends. The page only reads.

Where the agent has no page (uiBindAddress), this command serves one on loopback until Ctrl-C, out of what
the agent answers on its socket: nothing has to be configured. Its address holds a token behind the #.
Open it where a browser is by way of the same port there:

  ssh -L 8474:127.0.0.1:8474 NODE weft ui --port 8474

Examples:
  weft ui
  weft ui --port 8474`;

const MOST_PORT = 65_535;
const EVERYWHERE = new Map([
  [parseIP('0.0.0.0'), parseIP('127.0.0.1')],
  [parseIP('::'), parseIP('::1')],
]);

export const uiCommand: Command = {
  name: 'ui',
  describe: 'Show this node on a page',
  declare,
  run: runUi,
};

function declare(declaration: Declaration): Declaration {
  declaration.usage('weft ui [flags]').epilogue(EPILOGUE);
  textFlags(declaration)('port', 'Of loopback, where the agent has no page [default: a free one]');
  return declareRunDir(declaration);
}

/** Until somebody ends it, where it serves the page itself. */
export async function runUi(flags: FlagValues, effects: UiEffects): Promise<number> {
  const port = portOf(flags);
  // The agent answers a request of this command with this shape.
  const { address } = (await ask(flags, { command: 'page' }, effects)) as PageAnswer;
  const served = parsePageAddress(address);
  if (served !== undefined) {
    const host = EVERYWHERE.get(served.host) ?? served.host;
    effects.print(plain(`http://${formatHostPort(host, served.port)}/\n`));
    return 0;
  }
  const runDir = runDirOf(flags, effects);
  const page = await effects.servePage({
    port,
    ask: (request) => effects.askAgent(runDir, request),
  });
  effects.print(`${page.url}\n\nOnly this node can open it, until Ctrl-C here.\n`);
  await page.ended;
  return 0;
}

function portOf(flags: FlagValues): number {
  const text = lastText(flags['port']) ?? '0';
  const port = /^\d{1,5}$/.test(text) ? Number(text) : MOST_PORT + 1;
  if (port <= MOST_PORT) return port;
  throw new UsageError(`--port: expected a number up to ${MOST_PORT}, found "${text}"`);
}
