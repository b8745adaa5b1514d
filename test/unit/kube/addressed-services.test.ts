import { expect, test } from 'vitest';
import { AddressedServices } from '../../../src/kube/addressed-services.ts';
import type { ServiceAddresses } from '../../../src/kube/decode-service-addresses.ts';
import { services } from '../../../src/kube/resources.ts';
import type { ObjectHandlers, ObjectSource } from '../../../src/kube/source.ts';
import type { Service } from '../../../src/kube/types.ts';
import { RecordingHandlers } from '../../support/kube.ts';

/** A source that is told by the test. */
class ToldSource implements ObjectSource {
  readonly handlers = new Map<string, ObjectHandlers<never>>();
  readonly read = new Map<string, () => void>();
  readonly current = new Map<string, readonly object[]>();

  watch: ObjectSource['watch'] = (resource, handlers) => {
    this.handlers.set(resource.plural, handlers);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.read.set(resource.plural, resolve);
    const objects = () => (this.current.get(resource.plural) ?? []) as never;
    return { synced: promise, confirmed: promise, objects, close: () => {} };
  };
  start(): void {}
  hasSynced(): boolean {
    return true;
  }
}

function setUp() {
  const source = new ToldSource();
  const addressed = new AddressedServices(source);
  const told = new RecordingHandlers<Service>();
  const subscription = addressed.watch(services, told);
  const ofServices = source.handlers.get('services') as unknown as ObjectHandlers<Service>;
  const ofNotes = source.handlers.get(
    'serviceaddresses',
  ) as unknown as ObjectHandlers<ServiceAddresses>;
  const ips = () =>
    subscription
      .objects()
      .map(({ status }) => status?.loadBalancer?.ingress?.map(({ ip }) => ip) ?? []);
  return { source, addressed, ofServices, ofNotes, ips, subscription };
}

const metadata = { name: 'web', namespace: 'ns' };
const written = (ip?: string): Service => ({
  ...{ metadata, spec: { type: 'LoadBalancer' } },
  ...(ip === undefined ? {} : { status: { loadBalancer: { ingress: [{ ip }] } } }),
});
const note = (...addresses: string[]): ServiceAddresses => ({ metadata, addresses });

test('a Service has the addresses that are noted beside it, whoever comes first', () => {
  const { ofServices, ofNotes, ips } = setUp();
  ofNotes.onAdd(note('192.0.2.1'));
  ofServices.onAdd(written());
  expect(ips()).toEqual([['192.0.2.1']]);
  ofNotes.onUpdate(note('192.0.2.2'), note('192.0.2.1'));
  expect(ips()).toEqual([['192.0.2.2']]);
});

test('whoever writes it again takes none away, and what is noted goes before what is written', () => {
  const { ofServices, ofNotes, ips } = setUp();
  ofServices.onAdd(written());
  ofNotes.onAdd(note('192.0.2.1'));
  ofServices.onUpdate(written('192.0.2.9'), written());
  expect(ips()).toEqual([['192.0.2.1']]);
  ofNotes.onUpdate(note(), note('192.0.2.1'));
  expect(ips()).toEqual([[]]);
  ofNotes.onDelete(note());
  expect(ips()).toEqual([['192.0.2.9']]);
  ofServices.onDelete(written('192.0.2.9'));
  expect(ips()).toEqual([]);
});

test('Services are not all told before the notes are: nothing is taken back by a start', async () => {
  const { source, subscription } = setUp();
  let isSynced = false;
  void subscription.synced.then(() => (isSynced = true));
  source.read.get('services')?.();
  await new Promise(setImmediate);
  expect(isSynced).toBe(false);
  source.read.get('serviceaddresses')?.();
  await subscription.synced;
});

test('a Service and a note that are written again as they are have the version that a writer names', () => {
  const { source, addressed, ofServices, ofNotes, ips, subscription } = setUp();
  const at = (resourceVersion: string) => ({ metadata: { ...metadata, resourceVersion } });
  ofServices.onAdd({ ...written(), ...at('1') });
  ofNotes.onAdd({ ...note('192.0.2.1'), ...at('2') });
  source.current.set('services', [{ ...written(), ...at('3') }]);
  source.current.set('serviceaddresses', [{ ...note('192.0.2.1'), ...at('4') }]);
  expect(subscription.objects().map((each) => each.metadata.resourceVersion)).toEqual(['3']);
  expect(addressed.notes.get('ns/web')?.metadata.resourceVersion).toBe('4');
  expect(ips()).toEqual([['192.0.2.1']]);
});
