import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Environment } from '@marcbachmann/cel-js';
import { describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { renderManifest } from '../../../scripts/manifests/render.ts';

/** The policy's own expressions, evaluated as the API server would, with its variables as plain values. */
const cel = new Environment({ enableOptionalTypes: true, unlistedVariablesAreDyn: true });
const policy = parseAllDocuments(renderManifest('weft.yaml', {}))
  .map((document) => document.toJS())
  .find(({ kind }) => kind === 'ValidatingAdmissionPolicy');

interface Attempt {
  readonly user?: string;
  /** Of the pod whose token asks; undefined: a token without. */
  readonly nodeName?: string | undefined;
  /** More values of the same key, which the API server does not write. */
  readonly moreNames?: readonly string[];
  readonly object?: object;
  readonly oldObject?: object;
}

const AGENT = 'system:serviceaccount:weft:weft';
const NODE = {
  metadata: { name: 'node-a', labels: { zone: 'a' }, annotations: { a: '1' }, uid: 'u' },
  spec: { podCIDR: '10.244.1.0/24', podCIDRs: ['10.244.1.0/24'], providerID: 'p' },
  status: {
    addresses: [{ type: 'InternalIP', address: '192.168.0.1' }],
    capacity: { cpu: '4' },
    conditions: [
      { type: 'Ready', status: 'True', lastHeartbeatTime: '2026-01-01T00:00:00Z' },
      { type: 'NetworkUnavailable', status: 'True' },
    ],
    nodeInfo: { kubeletVersion: 'v1.36.0' },
  },
};
const [READY, UNAVAILABLE] = NODE.status.conditions;
const SMALL_PATH = { type: 'weft.dev/PathMTUTooSmall', status: 'True' };

/** Undefined: let through; `not its business`: the policy does not apply. Throws what CEL throws. */
function verdict(attempt: Attempt) {
  const { user = AGENT, nodeName, moreNames = [], object = NODE, oldObject = NODE } = attempt;
  const extra =
    nodeName === undefined
      ? {}
      : { 'authentication.kubernetes.io/node-name': [nodeName, ...moreNames] };
  const request = { userInfo: { username: user, extra } };
  const holds = (expression: string) => cel.evaluate(expression, { request, object, oldObject });
  const { matchConditions, validations } = policy.spec;
  if (!matchConditions.every((each: { expression: string }) => holds(each.expression))) {
    return 'not its business';
  }
  return validations.find((each: { expression: string }) => holds(each.expression) !== true)
    ?.message;
}

const own = (object: object, oldObject: object = NODE) =>
  verdict({ nodeName: 'node-a', object, oldObject });
const withStatus = (status: object) => ({ ...NODE, status: { ...NODE.status, ...status } });

describe('the admission policy lets the agent', () => {
  test.each([
    ['say that the network is there', [READY, { ...UNAVAILABLE, status: 'False' }]],
    ['say it first', [READY, UNAVAILABLE, { type: 'NetworkUnavailable', status: 'False' }]],
    ['take it back', [READY]],
    ['say that a path is small', [READY, UNAVAILABLE, SMALL_PATH]],
  ])('%s', (_name, conditions) => {
    expect(own(withStatus({ conditions }))).toBeUndefined();
  });

  test('write to a Node that has no status, label or annotation yet', () => {
    const bare = { metadata: { name: 'node-a' } };
    const conditions = [{ type: 'NetworkUnavailable', status: 'False' }];
    expect(own({ ...bare, status: { conditions } }, bare)).toBeUndefined();
    expect(own({ ...bare, spec: {}, status: { conditions } }, bare)).toBeUndefined();
  });

  test('have what the API server changes at each write', () => {
    const metadata = {
      ...NODE.metadata,
      resourceVersion: '2',
      managedFields: [{ manager: 'weft' }],
    };
    expect(own({ ...NODE, metadata })).toBeUndefined();
  });
});

test('the admission policy is about nobody else', () => {
  expect(verdict({ user: 'system:node:node-b', object: withStatus({ addresses: [] }) })).toBe(
    'not its business',
  );
});

test.each([['node-b'], [''], [undefined]])(
  'a token of node %j cannot write to node-a',
  (nodeName) => {
    expect(verdict({ nodeName })).toBe('an agent may only change the Node that its pod runs on');
  },
);

const FOREIGN = 'an agent may only change the Node that its pod runs on';

test.each([
  ...[
    'node-a ',
    'Node-A',
    'node-a.',
    'node',
    'node-a" || "" == "',
    '") || true || ("',
    'node-a\u0000',
  ],
  ...['\u043dode-a', '*', '.*', '["node-a"]', '__proto__', 'constructor'],
])('no name but its own is its own: %j', (nodeName) => {
  expect(verdict({ nodeName })).toBe(FOREIGN);
});

test.each(['a"b', '") || true || ("', '\\', '$(x)', '\u043dode'])(
  'nor is a Node %j node-a',
  (name) => {
    const object = { ...NODE, metadata: { ...NODE.metadata, name } };
    expect(verdict({ nodeName: 'node-a', object, oldObject: object })).toBe(FOREIGN);
    expect(verdict({ nodeName: name, object, oldObject: object })).toBeUndefined();
  },
);

test('of several names the first counts', () => {
  expect(verdict({ nodeName: 'node-b', moreNames: ['node-a'] })).toBe(FOREIGN);
});

test('an object without a name is refused: failurePolicy is Fail', () => {
  expect(() => verdict({ nodeName: 'node-a', object: { status: {} } })).toThrow();
  expect(policy.spec.failurePolicy).toBe('Fail');
});

test.each([
  ['another condition', [{ ...READY, status: 'False' }, UNAVAILABLE]],
  ['the time of another condition', [{ ...READY, lastHeartbeatTime: 'now' }, UNAVAILABLE]],
  ['a condition more', [READY, UNAVAILABLE, { type: 'MemoryPressure', status: 'True' }]],
  ['a condition less', [UNAVAILABLE]],
])('the agent cannot change %s', (_name, conditions) => {
  expect(own(withStatus({ conditions }))).toMatch(/^of conditions an agent may only/);
});

/** Fields of a type of the API, as the package of its types has them. */
function fieldsOf(file: string, type: string): readonly string[] {
  const path = join(import.meta.dirname, '../../../node_modules/kubernetes-types', file);
  const [, body = ''] =
    new RegExp(`export interface ${type} \\{\n([\\s\\S]*?)\n\\}`).exec(
      readFileSync(path, 'utf8'),
    ) ?? [];
  return [...body.matchAll(/^ {4}(\w+)\??:/gm)].flatMap(([, name]) => name ?? []);
}

/** Newer than those types. */
const NEWER = ['features', 'runtimeHandlers', 'declaredFeatures'];
const OF_STATUS = [...new Set([...fieldsOf('core/v1.d.ts', 'NodeStatus'), ...NEWER])];
const OF_SPEC = fieldsOf('core/v1.d.ts', 'NodeSpec');
const OF_METADATA = fieldsOf('meta/v1.d.ts', 'ObjectMeta');
/** Kept or set by the API server whatever is written. */
const NOT_WRITABLE = [
  ...['name', 'namespace', 'generateName', 'uid', 'resourceVersion', 'generation', 'selfLink'],
  ...['creationTimestamp', 'deletionTimestamp', 'deletionGracePeriodSeconds', 'managedFields'],
];
const CHANGED = [{ changed: 'yes' }];

describe('the agent cannot change', () => {
  test('one of many fields', () => {
    expect(
      [OF_STATUS.length, OF_SPEC.length, OF_METADATA.length].map((count) => count > 6),
    ).toEqual([true, true, true]);
  });

  test.each(OF_STATUS.filter((name) => name !== 'conditions'))('status.%s', (name) => {
    expect(own(withStatus({ [name]: CHANGED }))).toMatch(/^of the status of a Node/);
    const { [name]: _gone, ...status }: Record<string, unknown> = {
      ...NODE.status,
      [name]: CHANGED,
    };
    expect(own({ ...NODE, status }, withStatus({ [name]: CHANGED }))).toMatch(/^of the status/);
  });

  test.each(OF_SPEC)('spec.%s', (name) => {
    const changed = { ...NODE, spec: { ...NODE.spec, [name]: CHANGED } };
    expect(own(changed)).toMatch(/spec of a Node$/);
    expect(own(NODE, changed)).toMatch(/spec of a Node$/);
  });

  test.each(OF_METADATA.filter((name) => !NOT_WRITABLE.includes(name)))('metadata.%s', (name) => {
    const metadata = { ...NODE.metadata, [name]: CHANGED };
    expect(own({ ...NODE, metadata })).toMatch(/^an agent may not change labels/);
    expect(own(NODE, { ...NODE, metadata })).toMatch(/^an agent may not change labels/);
  });
});
