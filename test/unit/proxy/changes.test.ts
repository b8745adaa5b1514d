import { describe, expect, test } from 'vitest';
import { objectKey } from '../../../src/kube/resources.ts';
import type { EndpointSlice, Service } from '../../../src/kube/types.ts';
import { EndpointsTracker, TwoStates } from '../../../src/proxy/changes.ts';
import { mergeEndpoints, parseSlice } from '../../../src/proxy/endpoints.ts';
import { parseService, type ServiceEntry } from '../../../src/proxy/service.ts';
import { type EndpointText, service, slice } from '../../support/proxy-objects.ts';

const V4 = '172.30.0.1';

describe('Services', () => {
  const update = (tracker: TwoStates<ServiceEntry>, object: Service) =>
    tracker.set(objectKey(object), parseService(object).get(4));

  test('an update that changes nothing derived is none', () => {
    const tracker = new TwoStates<ServiceEntry>();
    update(tracker, service('a', V4));
    tracker.drain();
    const churned = {
      ...service('a', V4),
      metadata: { name: 'a', namespace: 'ns', resourceVersion: '2', annotations: { x: 'y' } },
    };
    expect([update(tracker, churned), tracker.drain()]).toEqual([false, []]);
  });

  test.each([
    { name: 'added', before: [], change: [service('a', V4)], want: ['ns/a'] },
    {
      name: 'changed',
      before: [service('a', V4)],
      change: [service('a', '172.30.0.2')],
      want: ['ns/a'],
    },
    {
      name: 'changed and changed back',
      before: [service('a', V4)],
      change: [service('a', '172.30.0.2'), service('a', V4)],
      want: [],
    },
    {
      name: 'becomes headless',
      before: [service('a', V4)],
      change: [service('a', 'None')],
      want: ['ns/a'],
    },
    { name: 'not of the family', before: [], change: [service('a', 'fd00:172::1')], want: [] },
  ])('$name', ({ before, change, want }) => {
    const tracker = new TwoStates<ServiceEntry>();
    for (const object of before) update(tracker, object);
    tracker.drain();
    for (const object of change) update(tracker, object);
    expect(tracker.drain()).toEqual(want);
  });

  test('nothing remains of a Service that came and went', () => {
    const tracker = new TwoStates<ServiceEntry>();
    update(tracker, service('a', V4));
    tracker.set('ns/a', undefined);
    expect([tracker.drain(), [...tracker.keys()], tracker.pending]).toEqual([[], [], 0]);
  });
});

describe('slices', () => {
  const update = (tracker: EndpointsTracker, object: EndpointSlice) => {
    const parsed = parseSlice(object, 'node-a');
    if (parsed?.family === 4) tracker.set(parsed.service, parsed.name, parsed.record);
  };
  const one = (endpoints: readonly EndpointText[], suffix = '1') =>
    slice({ service: 'a', suffix, endpoints });
  const addresses = (tracker: EndpointsTracker) =>
    mergeEndpoints(tracker.slices('ns/a'), 'http', 'tcp').map(({ target }) => target.ip);

  test.each([
    { name: 'first slice', before: [], after: [one(['10.0.0.1'])], want: ['ns/a'] },
    { name: 'same again', before: [one(['10.0.0.1'])], after: [one(['10.0.0.1'])], want: [] },
    {
      name: 'address added',
      before: [one(['10.0.0.1'])],
      after: [one(['10.0.0.1', '10.0.0.2'])],
      want: ['ns/a'],
    },
    {
      name: 'became not ready',
      before: [one(['10.0.0.1'])],
      after: [one([{ ip: '10.0.0.1', conditions: { ready: false } }])],
      want: ['ns/a'],
    },
    {
      name: 'there and back',
      before: [one(['10.0.0.1'])],
      after: [one(['10.0.0.2']), one(['10.0.0.1'])],
      want: [],
    },
    {
      name: 'second slice',
      before: [one(['10.0.0.1'])],
      after: [one(['10.0.0.2'], '2')],
      want: ['ns/a'],
    },
    { name: 'other family', before: [], after: [one(['fd00:10::1'])], want: [] },
  ])('$name', ({ before, after, want }) => {
    const tracker = new EndpointsTracker();
    for (const object of before) update(tracker, object);
    tracker.drain();
    for (const object of after) update(tracker, object);
    expect(tracker.drain()).toEqual(want);
  });

  test.each([
    { name: 'added to the new one first', isAddFirst: true },
    { name: 'removed from the old one first', isAddFirst: false },
  ])('an endpoint moves between slices, $name', ({ isAddFirst }) => {
    const tracker = new EndpointsTracker();
    update(tracker, one(['10.0.0.1', '10.0.0.2'], '1'));
    const steps = [one(['10.0.0.1'], '1'), one(['10.0.0.2'], '2')];
    for (const object of isAddFirst ? steps.reverse() : steps) update(tracker, object);
    expect(addresses(tracker)).toEqual(['10.0.0.1', '10.0.0.2']);
  });

  test('removal of one slice keeps the others, removal of the last leaves nothing', () => {
    const tracker = new EndpointsTracker();
    update(tracker, one(['10.0.0.1'], '1'));
    update(tracker, one(['10.0.0.2'], '2'));
    tracker.set('ns/a', 'a-1', undefined);
    expect(addresses(tracker)).toEqual(['10.0.0.2']);
    tracker.set('ns/a', 'a-2', undefined);
    expect([tracker.size, tracker.pending]).toEqual([0, 0]);
  });
});
