import { describe, expect, test } from 'vitest';
import {
  conditionChange,
  NETWORK_IS_UP,
  NodeCondition,
} from '../../../../src/agent/fabric/node-condition.ts';
import { pathCondition } from '../../../../src/agent/fabric/path-condition.ts';
import type { FakeApiServerOptions } from '../../../support/fake-api-server.ts';
import { recordingLog } from '../../../support/kube.ts';
import { until } from '../../../support/until.ts';
import {
  abort,
  impatientClock,
  prepare,
  server,
  useApiServer,
} from '../../kube/api/reflector-setup.ts';

useApiServer();

async function conditionOf(name: string, options: FakeApiServerOptions = {}) {
  const { client } = await prepare({ server: options });
  abort.signal.addEventListener('abort', () => client.close());
  server.put('nodes', { metadata: { name: 'node-1' }, status: { conditions: [READY] } });
  const { log, records } = recordingLog();
  const { clock, delays } = impatientClock();
  const { signal } = abort;
  const condition = new NodeCondition({
    ...{ client, nodeName: name, clock, random: () => 0, log, signal },
  });
  return { condition, records, delays };
}

const READY = { type: 'Ready', status: 'True', reason: 'KubeletReady' };

/** Of the Node as the server has it. */
function conditions(): unknown {
  const status = server.objects.get('nodes', 'node-1')?.['status'];
  return Object(status).conditions;
}

describe('the condition of the node', () => {
  test.each([{}, { speaksOnlyHttp1: true }])('is set beside the others: %j', async (options) => {
    const { condition } = await conditionOf('node-1', options);
    condition.set(NETWORK_IS_UP);
    await until('the condition is set', () => condition.isSet);
    expect(conditions()).toEqual([
      READY,
      expect.objectContaining({
        ...{ type: 'NetworkUnavailable', status: 'False', reason: 'WeftIsUp' },
        lastTransitionTime: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
      }),
    ]);
    expect(server.patched.map(({ path }) => path)).toEqual(['/api/v1/nodes/node-1/status']);
    expect(condition.problem).toBeUndefined();
  });

  test('is written once: a second look writes nothing', async () => {
    const { condition } = await conditionOf('node-1');
    condition.set(NETWORK_IS_UP);
    await until('the condition is set', () => condition.isSet);
    const requests = server.requests.length;
    condition.set(NETWORK_IS_UP);
    await until('it was looked at again', () => server.requests.length > requests);
    await until('nothing is under way', () => server.requests.length === requests + 1);
    expect(server.patched).toHaveLength(1);
  });

  test('is set again where somebody else has changed it', async () => {
    const { condition } = await conditionOf('node-1');
    condition.set(NETWORK_IS_UP);
    await until('the condition is set', () => condition.isSet);
    const conditionsNow = [
      { type: 'NetworkUnavailable', status: 'True', reason: 'NoRouteCreated' },
    ];
    server.put('nodes', { metadata: { name: 'node-1' }, status: { conditions: conditionsNow } });
    condition.set(NETWORK_IS_UP);
    await until('it is set again', () => server.patched.length === 2);
  });

  test.each([
    ['GET', 'get', 'nodes'],
    ['PATCH', 'patch', 'nodes/status'],
  ])(
    'a refused %s is told with the rule that is missing, and tried again',
    async (method, verb, resource) => {
      const { condition, records, delays } = await conditionOf('node-1');
      for (let i = 0; i < 5; i++) server.failNext((request) => request.method === method, 403);
      condition.set(NETWORK_IS_UP);
      await until('it is told', () => condition.problem);
      expect(condition.problem).toContain(`we may not ${verb} ${resource} (403)`);
      expect(condition.problem).toContain(
        `{apiGroups: [""], resources: [${resource}], verbs: [${verb}]}`,
      );
      await until('the condition is set', () => condition.isSet);
      expect(condition.problem).toBeUndefined();
      expect(delays.slice(0, 5)).toEqual([1_000, 2_000, 4_000, 8_000, 16_000]);
      expect(records.filter(({ msg }) => String(msg).includes('not set'))).toHaveLength(1);
    },
  );

  test('a server that is away is waited for', async () => {
    const { condition } = await conditionOf('node-1');
    await server.stop();
    condition.set(NETWORK_IS_UP);
    await until('it is told', () => condition.problem);
    expect(condition.problem).toContain('connection refused');
    await server.start();
    await until('the condition is set', () => condition.isSet);
  });

  test('a name that no Node has is told', async () => {
    const { condition } = await conditionOf('node-2');
    condition.set(NETWORK_IS_UP);
    await until('it is told', () => condition.problem);
    expect(condition.problem).toMatch(/no Node is called "node-2"; set nodeName/);
  });
});

describe('the change', () => {
  const nowMs = Date.UTC(2026, 10, 30);
  const merged = (found: Parameters<typeof conditionChange>[0], wanted = NETWORK_IS_UP) =>
    JSON.stringify(conditionChange(found, wanted, nowMs) ?? 'none');

  test('keeps the time of a transition that has been', () => {
    expect(merged({ status: 'False', reason: 'FlannelIsUp' })).not.toContain('lastTransitionTime');
    expect(merged({ status: 'True', reason: 'WeftIsUp' })).toContain(
      '"lastTransitionTime":"2026-11-30T00:00:00Z"',
    );
    expect(merged(undefined)).toContain('lastTransitionTime');
    expect(merged(NETWORK_IS_UP)).toBe('"none"');
  });

  test('tells another message, in the same state', () => {
    const [two, one] = [pathCondition('to node2: no; to node3: no'), pathCondition('to node3: no')];
    expect(merged(two, one)).toContain('"message":"to node3: no"');
    expect(merged(two, one)).not.toContain('lastTransitionTime');
    expect(merged(one, pathCondition(''))).toMatch(/"status":"False".*lastTransitionTime/);
  });

  test('of a path is bounded', () => {
    expect(pathCondition('x'.repeat(100_000)).message).toHaveLength(1_000);
  });
});
