/** The page as the agent serves it, with data that a test holds. */

import type { FlowFeed } from '../../../src/agent/flows/flow-event.ts';
import { FlowReaders } from '../../../src/agent/flows/flow-reader.ts';
import { serveHttp } from '../../../src/agent/http/http.ts';
import { Access } from '../../../src/agent/page/access.ts';
import { Followers } from '../../../src/agent/page/followers.ts';
import { Readers } from '../../../src/agent/page/readers.ts';
import { pageRoutes } from '../../../src/agent/page/routes.ts';
import type { UiExplanation, UiSnapshot } from '../../../src/agent/page/snapshot.ts';
import type { PageSource } from '../../../src/agent/page/source.ts';
import { parseIP } from '../../../src/net/ip.ts';
import { type Clock, systemClock } from '../../../src/util/clock.ts';
import { createLogger } from '../../../src/util/log.ts';
import { FakeFeed } from './fake-feed.ts';

export interface ServedPage {
  readonly url: string;
  readonly readers: Readers;
  /** What the next look finds. */
  snapshot: UiSnapshot;
  close(): Promise<void>;
}

export interface ServedPageOptions {
  readonly snapshot: UiSnapshot;
  /** As a function: one that is replaced. */
  readonly token?: string | (() => string);
  readonly clock?: Clock;
  readonly explanation?: UiExplanation;
  readonly feed?: FlowFeed;
  /** What the looks before that find, one after the other. */
  readonly before?: readonly UiSnapshot[];
}

export async function servePage(options: ServedPageOptions): Promise<ServedPage> {
  const { token, clock = systemClock } = options;
  const before = [...(options.before ?? [])];
  const explanation = options.explanation ?? { outcome: 'allowed', text: '' };
  const flowReaders = new FlowReaders({ clock, feed: options.feed ?? new FakeFeed() });
  const source: PageSource = {
    snapshot: async () => before.shift() ?? page.snapshot,
    explain: async () => explanation,
    openFlows: (query) => flowReaders.open({ query, isFollowed: true }),
    moreFlows: (reader) => flowReaders.next(reader),
    endFlows: async (reader) => flowReaders.end(reader),
  };
  const readers = new Readers({ clock, snapshot: source.snapshot });
  const followers = new Followers({ clock, source });
  const access = new Access({
    ...{ clock, hostNames: ['node-1'], token: typeof token === 'string' ? () => token : token },
  });
  const server = serveHttp({
    ...{ name: 'page', most: 32, bindAddressHardFail: true, clock, log: createLogger('silent') },
    addresses: [{ host: parseIP('127.0.0.1'), port: 0 }],
    routes: pageRoutes({ clock, source, access, readers, followers }),
  });
  await server.bound;
  const page: ServedPage = {
    url: `http://127.0.0.1:${server.addresses()[0]?.port}`,
    ...{ readers, snapshot: options.snapshot },
    close: () => {
      readers.close();
      followers.close();
      return server.close();
    },
  };
  return page;
}
