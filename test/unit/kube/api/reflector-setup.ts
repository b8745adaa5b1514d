import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach } from 'vitest';
import { readKubeconfig } from '../../../../src/kube/access/kubeconfig.ts';
import { ApiClient, type ClientTimings } from '../../../../src/kube/api/client.ts';
import { ServerSource, type ServerSourceOptions } from '../../../../src/kube/api/server-source.ts';
import { services } from '../../../../src/kube/resources.ts';
import type { Service } from '../../../../src/kube/types.ts';
import { type Clock, systemClock } from '../../../../src/util/clock.ts';
import { FakeApiServer, type FakeApiServerOptions } from '../../../support/fake-api-server.ts';
import { RecordingHandlers, recordingLog, serviceObject, until } from '../../../support/kube.ts';

/** Remembers how long was waited and cuts every wait short. */
export function impatientClock(): { clock: Clock; delays: number[] } {
  const delays: number[] = [];
  const schedule: Clock['schedule'] = (delayMs, callback) => {
    delays.push(delayMs);
    return systemClock.schedule(Math.min(delayMs, 5), callback);
  };
  return { clock: { ...systemClock, schedule }, delays };
}

export let directory: string;
export let server: FakeApiServer;
export let abort: AbortController;

/** Gives every test of the calling file its own `abort`, and stops its `server` afterwards. */
export function useApiServer(): void {
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'weft-kube-'));
    abort = new AbortController();
  });

  afterEach(async () => {
    abort.abort();
    await server.stop();
    rmSync(directory, { recursive: true });
  });
}

export interface Setup {
  readonly server?: FakeApiServerOptions;
  readonly timings?: Partial<ClientTimings>;
  readonly pageSize?: number;
  /** Waits between attempts only; the client keeps real time. */
  readonly clock?: Clock;
  readonly clientClock?: Clock;
  readonly source?: Partial<ServerSourceOptions>;
  /** Reads the kubeconfig as it was left. */
  readonly keepsConfig?: boolean;
}

/** Starts `server` and gives a source for it that has not started. */
export async function prepare(setup: Setup = {}) {
  server = new FakeApiServer(setup.server);
  await server.start();
  return connect(setup);
}

/** One more source for the running `server`, as after a restart of the agent. */
export async function connect(setup: Setup = {}) {
  const path = join(directory, 'config');
  if (setup.keepsConfig !== true) server.kubeconfig(path);
  const access = await readKubeconfig(path, {
    clock: systemClock,
    environment: {},
  });
  const client = new ApiClient({
    access,
    version: '0.0.0-test',
    clock: setup.clientClock ?? systemClock,
    random: () => 0,
    timings: setup.timings ?? {},
    pageSize: setup.pageSize ?? 500,
  });
  const log = recordingLog();
  const source = new ServerSource({
    client,
    clock: setup.clock ?? systemClock,
    random: () => 0,
    log: log.log,
    backoff: setup.clock === undefined ? { minMs: 10, maxMs: 40 } : { minMs: 800, maxMs: 30_000 },
    ...setup.source,
  });
  return { source, log, client };
}

/** A source that watches Services and has synced on what `prepare` put there. */
export async function watchServices(setup: Setup = {}, names: readonly string[] = ['a', 'b']) {
  const { source, log } = await prepare(setup);
  for (const name of names) server.put('services', serviceObject(name));
  const handlers = new RecordingHandlers<Service>();
  const { synced } = source.watch(services, handlers);
  source.start(abort.signal);
  await synced;
  await until(() => server.watchCount === 1, 'the watch');
  return { source, log, handlers };
}

export const watchRequests = () => server.requests.filter(({ isWatch }) => isWatch);
export const listRequests = () => server.requests.filter(({ isWatch }) => !isWatch);
