import type { Clock } from '../../util/clock.ts';
import { errorCode, toError } from '../../util/errors.ts';
import type { HttpAnswer, HttpReply, HttpRoutes, Respond } from '../http/http.ts';
import type { Access } from './access.ts';
import { whileAdmitted } from './admitted.ts';
import { ASSET_PATHS, openAssets, PAGE_HEADERS } from './assets.ts';
import { parseFlowQuery } from './flows.ts';
import type { Followers } from './followers.ts';
import { parseQuestion } from './question.ts';
import type { Readers } from './readers.ts';
import type { PageSource } from './source.ts';

export interface PageRoutesOptions {
  readonly clock: Clock;
  readonly source: PageSource;
  readonly access: Access;
  readonly readers: Readers;
  readonly followers: Followers;
  readonly asset?: (path: string) => HttpReply;
}

/** Explanations, and flows that somebody begins to follow, at once: each reads tables of the kernel. */
const MOST_ANSWERED_AT_ONCE = 4;

/**
 * Routes of the page. Its files are anybody's, who has them in the release; its data are read-only and
 * behind `access`.
 */
export function pageRoutes(options: PageRoutesOptions): HttpRoutes {
  const { clock, source, access, readers, followers, asset = openAssets() } = options;
  const guarded =
    (respond: Respond): Respond =>
    async (question) => {
      const refusal = access.refuseHost(question.headers) ?? access.refuse(question);
      if (refusal !== undefined) return refusal;
      return whileAdmitted(await respond(question), () => access.isAdmitted(question), clock);
    };
  const inFew = atMost(MOST_ANSWERED_AT_ONCE);
  const explain = inFew(async ({ query }) => {
    return json(200, await source.explain(parseQuestion(query)));
  });
  const flows = inFew(({ query }) => followers.answer(parseFlowQuery(query)));
  return new Map<string, Respond>([
    ...ASSET_PATHS.map((path): readonly [string, Respond] => [
      path,
      ({ headers }) => access.refuseHost(headers) ?? asset(path),
    ]),
    [
      'POST /api/session',
      (question) => access.refuseHost(question.headers) ?? withHeaders(access.open(question)),
    ],
    ['/api/snapshot', guarded(inFew(async () => json(200, await source.snapshot())))],
    ['/api/events', guarded(() => readers.answer())],
    ['/api/explain', guarded(explain)],
    ['/api/flows', guarded(flows)],
  ]);
}

function atMost(most: number): (respond: Respond) => Respond {
  let underWay = 0;
  return (respond) =>
    async (question): Promise<HttpAnswer> => {
      if (underWay >= most) return problem(503, 'busy; ask again in a moment');
      underWay++;
      try {
        return await respond(question);
      } catch (thrown) {
        if (errorCode(thrown) === undefined) throw thrown;
        return problem(400, toError(thrown).message);
      } finally {
        underWay--;
      }
    };
}

function problem(status: number, words: string): HttpReply {
  return json(status, { problem: words });
}

function json(status: number, value: object): HttpReply {
  return withHeaders({ status, contentType: 'application/json', body: JSON.stringify(value) });
}

function withHeaders(reply: HttpReply): HttpReply {
  return { ...reply, headers: { ...PAGE_HEADERS, ...reply.headers } };
}
