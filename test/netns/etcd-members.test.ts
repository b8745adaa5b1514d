/** Three members of an etcd: one that is killed, and one that hangs. */
import { expect, test } from 'vitest';
import { follow, putService, startEtcd } from '../support/etcd-source.ts';
import { until } from '../support/until.ts';

test('of three members one is used; with its end another one is, and nothing is lost', async () => {
  const etcd = await startEtcd({ members: 3 });
  putService(etcd, 'a');
  const leader = etcd.leader();
  const endpoints = [...etcd.endpoints.slice(leader), ...etcd.endpoints.slice(0, leader)];
  const { handlers, synced, gateway } = follow(endpoints);
  await synced;
  expect(gateway.access.server.origin).toBe(endpoints[0]);
  await etcd.kill(leader);
  await until('the others have a leader', () => {
    putService(etcd, 'b');
    return true;
  });
  const wroteAt = performance.now();
  await until('the event came', () => handlers.objects.has('default/b'));
  expect(performance.now() - wroteAt).toBeLessThan(2_000);
  await etcd.start();
  // One that hangs keeps its connections.
  const used = etcd.endpoints.indexOf(gateway.access.server.origin);
  etcd.signal(used, 'SIGSTOP');
  const other = etcd.endpoints[(used + 1) % 3] ?? '';
  await until('the others have a leader', () => etcd.tryPut(other, '/weft/services/default/c'));
  await until('the event came', () => handlers.objects.has('default/c'));
  expect(gateway.access.server.origin).not.toBe(etcd.endpoints[used]);
  expect(handlers.take()).toEqual(['add default/a', 'add default/b', 'add default/c']);
});
