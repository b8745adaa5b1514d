import { expect, test } from 'vitest';
import { keyOf } from '../../../support/fake-api-objects.ts';
import { serviceObject, until } from '../../../support/kube.ts';
import { server, useApiServer, watchServices } from './reflector-setup.ts';

useApiServer();

const STEPS = 120;

/** Numbers in [0, 1) that are the same for the same seed (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Everything that can happen to a server or on the way to it, weighted by repetition. */
function faults(random: () => number): (() => void | Promise<void>)[] {
  const name = () => `s-${Math.floor(random() * 8)}`;
  const change = () => {
    const known = server.objects.get('services', `default/${name()}`);
    if (known !== undefined && random() < 0.4) server.delete('services', keyOf(known));
    else {
      const clusterIP = random() < 0.2 ? 'None' : `172.30.0.${Math.floor(random() * 250)}`;
      server.put('services', serviceObject(name(), { clusterIP }));
    }
  };
  const unseen = () => {
    server.putSilently('services', serviceObject(name(), { clusterIP: '172.30.1.1' }));
    server.resetConnections();
  };
  return [
    ...Array.from({ length: 12 }, () => change),
    unseen,
    () => server.resetConnections(),
    () => server.sayGoAway(),
    () => server.watches.end(),
    () => server.watches.cutNextEvent(Math.floor(random() * 200)),
    () => server.watches.sendError(500, 'InternalError'),
    () => void server.sendBookmarks(),
    () => server.failNext(() => true, random() < 0.5 ? 500 : 429),
    () => server.cutNext(() => true),
    () => {
      server.objects.compact();
      server.resetConnections();
    },
    () => {
      server.watches.holdEvents();
      for (let count = 0; count < 4; count++) change();
      server.watches.releaseEvents((events) =>
        [...events, ...events].toSorted(() => random() - 0.5),
      );
    },
    async () => {
      await server.stop();
      change();
      await server.start();
    },
    () => new Promise((resolve) => setTimeout(resolve, random() * 30)),
  ];
}

test.each([1, 2, 3, 4])('after any faults both sides agree (seed %i)', async (seed) => {
  const { handlers } = await watchServices();
  const random = seeded(seed);
  const possible = faults(random);
  for (let step = 0; step < STEPS; step++) {
    await possible[Math.floor(random() * possible.length)]?.();
  }
  const wanted = () =>
    server.objects
      .list('services')
      .filter(
        (
          object, // Every Service of this test has a spec.
        ) => (object['spec'] as { clusterIP: string }).clusterIP !== 'None',
      )
      .map((object) => `${keyOf(object)} ${object.metadata.resourceVersion}`);
  const held = () =>
    [...handlers.objects].map(([key, { metadata }]) => `${key} ${metadata.resourceVersion}`).sort();
  // What was to be cut or refused next is over with the next event and request.
  server.put('services', serviceObject('last'));
  await until(() => held().join() === wanted().join(), `both to agree, seed ${seed}`);
  expect(held()).toEqual(wanted());
});
