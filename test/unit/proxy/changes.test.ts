import { describe, expect, test } from 'vitest';
import { EndpointsTracker, ServiceTracker } from '../../../src/proxy/changes.ts';
import { mergeEndpoints } from '../../../src/proxy/endpoints.ts';
import { type EndpointText, service, slice } from '../../support/proxy-objects.ts';

const V4 = '172.30.0.1';

describe('Services', () => {
  test('an update that changes nothing derived is none', () => {
    const tracker = new ServiceTracker(4);
    tracker.update(service('a', V4));
    tracker.drain();
    const churned = {
      ...service('a', V4),
      metadata: { name: 'a', namespace: 'ns', resourceVersion: '2', annotations: { x: 'y' } },
    };
    expect([tracker.update(churned), tracker.drain()]).toEqual([false, []]);
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
    const tracker = new ServiceTracker(4);
    for (const object of before) tracker.update(object);
    tracker.drain();
    for (const object of change) tracker.update(object);
    expect(tracker.drain()).toEqual(want);
  });

  test('nothing remains of a Service that came and went', () => {
    const tracker = new ServiceTracker(4);
    tracker.update(service('a', V4));
    tracker.delete(service('a', V4));
    expect([tracker.drain(), [...tracker.keys()], tracker.pending]).toEqual([[], [], 0]);
  });
});

describe('slices', () => {
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
    const tracker = new EndpointsTracker(4, 'node-a');
    for (const object of before) tracker.update(object);
    tracker.drain();
    for (const object of after) tracker.update(object);
    expect(tracker.drain()).toEqual(want);
  });

  test.each([
    { name: 'added to the new one first', isAddFirst: true },
    { name: 'removed from the old one first', isAddFirst: false },
  ])('an endpoint moves between slices, $name', ({ isAddFirst }) => {
    const tracker = new EndpointsTracker(4, 'node-a');
    tracker.update(one(['10.0.0.1', '10.0.0.2'], '1'));
    const steps = [one(['10.0.0.1'], '1'), one(['10.0.0.2'], '2')];
    for (const object of isAddFirst ? steps.reverse() : steps) tracker.update(object);
    expect(addresses(tracker)).toEqual(['10.0.0.1', '10.0.0.2']);
  });

  test('removal of one slice keeps the others, removal of the last leaves nothing', () => {
    const tracker = new EndpointsTracker(4, 'node-a');
    tracker.update(one(['10.0.0.1'], '1'));
    tracker.update(one(['10.0.0.2'], '2'));
    tracker.delete(one([], '1'));
    expect(addresses(tracker)).toEqual(['10.0.0.2']);
    tracker.delete(slice({ service: 'a', suffix: '2', endpoints: [] }));
    expect([tracker.size, tracker.pending]).toEqual([0, 0]);
  });

  test('bad addresses are reported', () => {
    const warned: unknown[] = [];
    const tracker = new EndpointsTracker(4, 'node-a', (...warning) => warned.push(warning));
    tracker.update(one(['10.0.0.300']));
    expect(warned).toEqual([['a-1', ['bad address 10.0.0.300']]]);
  });
});
