import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { endpointSlices, nodes, serviceCIDRs, services } from '../../../../src/kube/resources.ts';
import type { Service } from '../../../../src/kube/types.ts';
import { type Clock, systemClock } from '../../../../src/util/clock.ts';
import { RecordingHandlers, serviceObject, until } from '../../../support/kube.ts';
import {
  abort,
  connect,
  directory,
  listRequests,
  prepare,
  server,
  useApiServer,
  watchRequests,
  watchServices,
} from './reflector-setup.ts';

useApiServer();

test('over HTTP/2 all kinds share one connection', async () => {
  const { source } = await prepare({ pageSize: 1 });
  for (const name of ['a', 'b', 'c']) server.put('services', serviceObject(name));
  const ignore = { onAdd: () => {}, onUpdate: () => {}, onDelete: () => {} };
  source.watch(services, ignore);
  source.watch(endpointSlices, ignore);
  source.watch(nodes('n1'), ignore);
  source.watch(serviceCIDRs, ignore);
  source.start(abort.signal);
  await until(() => server.watchCount === 4);
  expect(server.connectionCount).toBe(1);
  expect(server.acceptedCount).toBe(1);
});

test('a connection the server wants to end is left without losing the watch', async () => {
  const { handlers, source } = await watchServices({}, ['a']);
  server.sayGoAway();
  server.put('services', serviceObject('b'));
  await until(() => handlers.events.length === 2);
  server.watches.end();
  await until(() => watchRequests().length === 2 && server.watchCount === 1);
  server.put('services', serviceObject('c'));
  await until(() => handlers.events.length === 3);
  expect(source.counts()[0]?.counts.failures).toEqual({});
  expect(server.acceptedCount).toBe(2);
});

describe.each([{ speaksOnlyHttp1: false }, { speaksOnlyHttp1: true }])(
  '$speaksOnlyHttp1',
  (options) => {
    test('lists, watches and resumes after a reset', async () => {
      const { handlers } = await watchServices({ server: options, pageSize: 2 }, ['a', 'b', 'c']);
      server.resetConnections();
      server.putSilently('services', serviceObject('d'));
      await until(() => handlers.events.length === 4);
      expect(listRequests()).toHaveLength(2);
    });

    test('a watch cut within an event resumes before it', async () => {
      const { handlers, source } = await watchServices({ server: options }, ['a']);
      server.watches.cutNextEvent(30);
      server.put('services', serviceObject('b'));
      await until(() => handlers.events.length === 2);
      expect(source.counts()[0]?.counts.failures).toEqual({ connection: 1 });
    });

    test('a list of many chunks arrives whole', async () => {
      const names = Array.from({ length: 800 }, (_, index) => `${'long-'.repeat(20)}${index}`);
      const { handlers } = await watchServices({ server: options, pageSize: 0 }, names);
      expect(handlers.objects.size).toBe(800);
    });

    test('an answer that does not come is given up', async () => {
      const { client } = await prepare({ server: options, timings: { requestTimeoutMs: 50 } });
      server.isSilent = true;
      const creating = client.create('/api/v1/events', {}, abort.signal);
      await expect(creating).rejects.toMatchObject({
        code: 'BUSY',
        message: 'create /api/v1/events: no answer within 50 ms',
      });
    });
  },
);

test('a certificate that does not fit its key is read again at the next attempt', async () => {
  const setup = { server: { requiresClientCertificate: true } };
  const { client: unnamed } = await prepare(setup);
  unnamed.close();
  const [first, second] = ['one', 'two'].map((name) => server.authority.issue(name));
  if (first === undefined || second === undefined) throw new Error('no certificates');
  const paths = { certificate: join(directory, 'crt'), key: join(directory, 'key') };
  writeFileSync(paths.certificate, first.certificate);
  writeFileSync(paths.key, second.key);
  server.kubeconfig(join(directory, 'config'), {
    'client-certificate': paths.certificate,
    'client-key': paths.key,
  });
  const { source } = await connect({ keepsConfig: true });
  const { synced } = source.watch(services, new RecordingHandlers<Service>());
  source.start(abort.signal);
  await until(() => (source.counts()[0]?.counts.lists ?? 0) > 1);
  writeFileSync(paths.certificate, second.certificate);
  await synced;
  expect(server.requests[0]?.clientName).toBe('two');
});

describe('a peer that is gone without a word', () => {
  const relays: net.Server[] = [];
  afterEach(() => {
    for (const relay of relays.splice(0)) relay.close();
  });

  /** Forwards TCP to `server` until it is told to swallow everything. */
  async function relay() {
    const { port } = new URL(server.url);
    const sockets: net.Socket[] = [];
    let isDead = false;
    const listening = net.createServer((client) => {
      const upstream = net.connect(Number(port), '127.0.0.1');
      for (const [from, to] of [
        [client, upstream],
        [upstream, client],
      ] as const) {
        sockets.push(from);
        from.on('error', () => {});
        from.on('close', () => to.destroy());
        from.on('data', (bytes) => {
          if (!isDead) to.write(bytes);
        });
      }
    });
    relays.push(listening);
    listening.listen(0, '127.0.0.1');
    await once(listening, 'listening');
    return {
      // A TCP server has an address object once it listens.
      url: `https://127.0.0.1:${(listening.address() as AddressInfo).port}`,
      die: () => {
        isDead = true;
      },
      revive: () => {
        isDead = false;
      },
    };
  }

  /** Minutes pass in milliseconds for the pings, and for them only. */
  const quick: Clock = {
    ...systemClock,
    schedule: (delayMs, callback) =>
      systemClock.schedule([30_000, 15_000].includes(delayMs) ? delayMs / 500 : delayMs, callback),
  };

  test('is found by a ping, and the watch resumes elsewhere', async () => {
    await prepare();
    server.put('services', serviceObject('a'));
    const between = await relay();
    const config = readFileSync(join(directory, 'config'), 'utf8');
    writeFileSync(join(directory, 'config'), config.replace(server.url, between.url));
    const { source } = await connect({ keepsConfig: true, clientClock: quick });
    const handlers = new RecordingHandlers<Service>();
    source.watch(services, handlers);
    source.start(abort.signal);
    await until(() => server.watchCount === 1);
    // Pings that are answered keep it.
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(watchRequests()).toHaveLength(1);
    between.die();
    await until(
      () =>
        (source.counts()[0]?.counts.failures.timeout ?? 0) +
          (source.counts()[0]?.counts.failures.connection ?? 0) >
        0,
    );
    between.revive();
    server.put('services', serviceObject('b'));
    await until(() => handlers.events.length === 2);
    expect(listRequests()).toHaveLength(1);
  });
});
