/** An etcd and a source that reads from it, in the process of the test. */
import { onTestFinished } from 'vitest';
import type { Credential } from '../../src/kube/access/access.ts';
import { EtcdSource } from '../../src/kube/etcd/etcd-source.ts';
import { EtcdGateway, type EtcdUser } from '../../src/kube/etcd/gateway.ts';
import { endpointSlices, services } from '../../src/kube/resources.ts';
import type { EndpointSlice, Service } from '../../src/kube/types.ts';
import { systemClock } from '../../src/util/clock.ts';
import { type EtcdOptions, freePorts, hostPlace, TestEtcd } from './etcd.ts';
import { RecordingHandlers, recordingLog, serviceObject } from './kube.ts';

/** Members on the loopback device, until the test ends. */
export async function startEtcd(options: EtcdOptions = {}): Promise<TestEtcd> {
  const etcd = new TestEtcd(hostPlace(), { ...options, port: await freePorts() });
  onTestFinished(() => etcd.remove());
  await etcd.start();
  return etcd;
}

export interface EtcdClient {
  readonly user?: EtcdUser;
  readonly credential?: Credential;
  readonly holdMs?: number;
}

/** A source that reads Services and slices from now on. */
export function follow(
  endpoints: readonly string[],
  { user, credential = {}, holdMs = 0 }: EtcdClient = {},
) {
  const credentials = {
    current: async () => credential,
    authority: async () => credential.certificateAuthority,
    certificates: async () => [],
    invalidate: () => {},
  };
  const abort = new AbortController();
  onTestFinished(() => abort.abort());
  const log = recordingLog();
  const gateway = new EtcdGateway({
    accesses: endpoints.map((url) => ({ server: new URL(url), credentials, isTlsVerified: true })),
    ...{ user, version: '0', clock: systemClock },
  });
  const source = new EtcdSource({
    ...{ gateway, prefix: '/weft', clock: systemClock, random: () => 0.5, log: log.log },
    massDeletionHoldMs: holdMs,
  });
  const handlers = new RecordingHandlers<Service>();
  const slices = new RecordingHandlers<EndpointSlice>();
  const { synced } = source.watch(services, handlers);
  source.watch(endpointSlices, slices);
  source.start(abort.signal);
  const problem = () => source.counts().find(({ counts }) => counts.failing)?.counts.failing;
  return { source, handlers, slices, synced, log, problem, gateway };
}

export function putService(etcd: TestEtcd, name: string, spec: object = {}): void {
  etcd.put(`/weft/services/default/${name}`, serviceObject(name, { ...spec }));
}
