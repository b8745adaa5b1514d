import { randomBytes } from 'node:crypto';
import { formatHostPort } from '../../net/host-port.ts';
import { parseIP } from '../../net/ip.ts';
import { type Clock, systemClock } from '../../util/clock.ts';
import { createLogger } from '../../util/log.ts';
import type { ExplainAnswer } from '../debug/explain.ts';
import { explainText } from '../debug/explain-text.ts';
import type { DebugRequest } from '../debug/protocol.ts';
import type { EndFlowsRequest, FlowsRequest, MoreFlowsRequest } from '../debug/questions/flows.ts';
import type { FlowAnswer } from '../flows/flow-reader.ts';
import { serveHttp } from '../http/http.ts';
import { Access } from './access.ts';
import { Followers } from './followers.ts';
import type { PageAnswer } from './page-question.ts';
import { packetOf } from './question.ts';
import { Readers } from './readers.ts';
import { pageRoutes } from './routes.ts';
import type { PageSource } from './source.ts';

export interface RemotePage {
  /** With a token that only this process knows, where no browser sends it. */
  readonly url: string;
  close(): Promise<void>;
}

export interface RemotePageOptions {
  readonly ask: (request: DebugRequest) => Promise<unknown>;
  /** 0: whichever is free. */
  readonly port: number;
  readonly clock?: Clock;
}

const LOOPBACK = parseIP('127.0.0.1');
const MOST_CONNECTIONS = 24;
const TOKEN_BYTES = 24;

/**
 * Serves the page on loopback out of what an agent answers on its socket. Others on this node may connect
 * too, so that it has a token. Throws IoError for a port that is taken.
 */
export async function servePageOf(options: RemotePageOptions): Promise<RemotePage> {
  const { ask, port, clock = systemClock } = options;
  const source = remoteSource(ask);
  const readers = new Readers({ clock, snapshot: source.snapshot });
  const followers = new Followers({ clock, source });
  const token = randomBytes(TOKEN_BYTES).toString('base64url');
  const server = serveHttp({
    ...{ name: 'page', most: MOST_CONNECTIONS, bindAddressHardFail: true },
    ...{ clock, log: createLogger('silent') },
    addresses: [{ host: LOOPBACK, port }],
    routes: pageRoutes({
      ...{ clock, source, readers, followers },
      access: new Access({ clock, hostNames: [], token: () => token }),
    }),
  });
  await server.bound;
  const [address = { host: LOOPBACK, port }] = server.addresses();
  return {
    url: `http://${formatHostPort(address.host, address.port)}/#token=${token}`,
    close: () => {
      readers.close();
      followers.close();
      return server.close();
    },
  };
}

/** An agent of this version writes exactly these shapes. */
function remoteSource(ask: RemotePageOptions['ask']): PageSource {
  return {
    snapshot: async () => ((await ask({ command: 'page' })) as PageAnswer).snapshot,
    explain: async (question) => {
      const request = { command: 'explain', packet: packetOf(question) };
      const answer = (await ask(request)) as ExplainAnswer;
      return { outcome: answer.outcome, text: explainText(answer) };
    },
    openFlows: async (query) => {
      const request: FlowsRequest = { command: 'flows', query, isFollowed: true };
      return (await ask(request)) as FlowAnswer;
    },
    moreFlows: async (reader) => {
      const request: MoreFlowsRequest = { command: 'more flows', reader };
      return (await ask(request)) as FlowAnswer;
    },
    endFlows: async (reader) => {
      const request: EndFlowsRequest = { command: 'end flows', reader };
      await ask(request);
    },
  };
}
