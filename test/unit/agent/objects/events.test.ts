import { describe, expect, test } from 'vitest';
import {
  ApiEvents,
  type EventNote,
  nodeOf,
  renderEvent,
} from '../../../../src/agent/objects/events.ts';
import { createLogger } from '../../../../src/util/log.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

const STARTING: EventNote = {
  about: nodeOf({ nodeName: 'node-a' }),
  type: 'Normal',
  reason: 'Starting',
  action: 'StartKubeProxy',
  note: '',
};

function recorder(create?: () => Promise<void>) {
  const clock = new FakeClock();
  const sent: { path: string; object: ReturnType<typeof renderEvent> }[] = [];
  const events = new ApiEvents({
    client: {
      create: async (path, object) => {
        await create?.();
        // Only this test's own events arrive here.
        sent.push({ path, object: object as ReturnType<typeof renderEvent> });
      },
    },
    nodeName: 'node-a',
    clock,
    log: createLogger('silent'),
    signal: new AbortController().signal,
  });
  return { clock, sent, events };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('ApiEvents', () => {
  test('an event on the Node', async () => {
    const { events, sent } = recorder();
    events.send(STARTING);
    await settled();
    expect(sent).toEqual([
      {
        path: '/apis/events.k8s.io/v1/namespaces/default/events',
        object: {
          apiVersion: 'events.k8s.io/v1',
          kind: 'Event',
          metadata: { name: 'node-a.17979cfe362a0000', namespace: 'default' },
          eventTime: '2023-11-14T22:13:20.000000Z',
          reportingController: 'kube-proxy',
          reportingInstance: 'kube-proxy-node-a',
          action: 'StartKubeProxy',
          reason: 'Starting',
          type: 'Normal',
          note: '',
          regarding: { apiVersion: 'v1', kind: 'Node', name: 'node-a', uid: 'node-a' },
        },
      },
    ]);
  });

  test('what kube-proxy does not do is not told in its name', () => {
    const event = renderEvent({ ...STARTING, controller: 'weft' }, 'node-a', 0);
    expect(event.reportingController).toBe('weft');
    expect(event.reportingInstance).toBe('weft-node-a');
  });

  test('an event on a Service lives in its namespace', () => {
    const about = { kind: 'Service', namespace: 'ns', name: 'svc' } as const;
    const event = renderEvent({ ...STARTING, about, note: 'x'.repeat(2000) }, 'node-a', 0);
    expect([event.metadata.namespace, event.regarding, event.note.length]).toEqual([
      'ns',
      { apiVersion: 'v1', kind: 'Service', name: 'svc', uid: 'ns/svc', namespace: 'ns' },
      1024,
    ]);
  });

  test('the same is not sent again within five minutes', async () => {
    const { events, sent, clock } = recorder();
    events.send(STARTING);
    clock.advance(299_000);
    events.send(STARTING);
    clock.advance(1_000);
    events.send(STARTING);
    await settled();
    expect(sent.length).toBe(2);
  });

  test('a flood is cut to 25, and one more every ten seconds', async () => {
    const { events, sent, clock } = recorder();
    const flood = () => {
      for (let index = 0; index < 100; index++) {
        events.send({ ...STARTING, note: `${clock.now()} ${index}` });
      }
    };
    flood();
    clock.advance(30_000);
    flood();
    await settled();
    expect(sent.length).toBe(28);
  });

  test('a server that refuses changes nothing', async () => {
    let attempts = 0;
    const { events } = recorder(async () => {
      attempts++;
      throw new Error('forbidden');
    });
    events.send(STARTING);
    events.send({ ...STARTING, note: 'another' });
    await settled();
    expect(attempts).toBe(2);
  });
});
