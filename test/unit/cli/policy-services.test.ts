import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { runPolicyCheck } from '../../../src/cli/policy/check.ts';
import { readManifests } from '../../../src/kube/manifests/read-manifests.ts';

const pod = (key: string, ip: string, node = 'n1') => ({
  ...{ apiVersion: 'v1', kind: 'Pod' },
  metadata: {
    namespace: key.split('/')[0],
    name: key.split('/')[1],
    labels: { pod: key.split('/')[1] },
  },
  spec: { nodeName: node, containers: [{ name: 'c', image: 'i' }] },
  status: { podIP: ip, podIPs: [{ ip }] },
});
const service = (name: string, spec: object) => ({
  ...{ apiVersion: 'v1', kind: 'Service', metadata: { namespace: 'shop', name } },
  spec: { ports: [{ port: 5432, targetPort: 8080 }], ...spec },
});
const slice = (
  name: string,
  endpoints: readonly (readonly [ip: string, node: string, ready?: boolean])[],
) => ({
  ...{ apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', addressType: 'IPv4' },
  metadata: { namespace: 'shop', name, labels: { 'kubernetes.io/service-name': name } },
  ports: [{ name: '', port: 8080, protocol: 'TCP' }],
  endpoints: endpoints.map(([address, nodeName, ready = true]) => ({
    ...{ addresses: [address], nodeName, conditions: { ready } },
  })),
});
/** Pods called db let in only what comes from cart to 8080. */
const POLICY = {
  ...{ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy' },
  metadata: { namespace: 'shop', name: 'only-cart' },
  spec: {
    podSelector: { matchLabels: { pod: 'db' } },
    ingress: [
      { from: [{ podSelector: { matchLabels: { pod: 'cart' } } }], ports: [{ port: 8080 }] },
    ],
  },
};
const PODS = [
  ...[pod('shop/cart', '10.0.1.1'), pod('shop/front', '10.0.1.2'), pod('shop/db', '10.0.1.3')],
  pod('shop/other', '10.0.2.1', 'n2'),
];
const DB = service('store', { clusterIP: '10.96.0.10' });
const ENDPOINT = slice('store', [['10.0.1.3', 'n1']]);
const BOTH = slice('store', [
  ['10.0.1.3', 'n1'],
  ['10.0.2.1', 'n2'],
]);

async function ask(objects: readonly unknown[], flags: Record<string, unknown>) {
  const directory = mkdtempSync(join(tmpdir(), 'weft-policy-services-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const items = [...PODS, POLICY, ...objects];
  const list = { apiVersion: 'v1', kind: 'List', items };
  writeFileSync(join(directory, 'a.json'), JSON.stringify(list));
  let printed = '';
  let errors = '';
  const code = await runPolicyCheck(
    { manifests: directory, output: 'json', ...flags },
    {
      readManifests,
      readFile: () => '',
      print: (more) => {
        printed += more;
      },
      printError: (more) => {
        errors += more;
      },
    },
  );
  return { code, errors, printed };
}

/** The one answer. */
async function answer(objects: readonly unknown[], probe: string): Promise<unknown> {
  const { printed, errors } = await ask(objects, { probe });
  expect(errors).toBe('');
  return JSON.parse(printed);
}

test.each(['shop/store', '10.96.0.10'])('%s: the pod behind it, at its own port', async (to) => {
  expect(await answer([DB, ENDPOINT], `shop/cart -> ${to}:5432`)).toEqual({
    allowed: true,
    reason: expect.stringMatching(
      /Service shop\/store,? goes to shop\/db port 8080: .*ingress: NetworkPolicy shop\/only-cart, ingress\[0\], allows it$/,
    ),
  });
  expect(await answer([DB, ENDPOINT], `shop/front -> ${to}:5432`)).toEqual({
    allowed: false,
    reason: expect.stringContaining('shop/only-cart isolates shop/db and allows no TCP 8080'),
  });
});

test('a pod goes before a Service of its name', async () => {
  const namesake = service('db', { clusterIP: '10.96.0.11' });
  expect(await answer([namesake], 'shop/front -> shop/db:5432')).toMatchObject({
    reason: expect.stringContaining('allows no TCP 5432 from shop/front'),
  });
});

test('where only some endpoints deny, it is neither allowed nor denied', async () => {
  const text = 'shop/front -> shop/store:5432';
  const [expected, denied] = [{ probe: text }, { denied: text }];
  const { code, printed } = await ask([DB, BOTH], expected);
  expect(code).toBe(1);
  expect(JSON.parse(printed)).toEqual({
    allowed: false,
    partly: true,
    reason: expect.stringMatching(
      /goes to 1 of 2, shop\/db .*; and allowed to 1 of 2, shop\/other /,
    ),
  });
  expect((await ask([DB, BOTH], denied)).code).toBe(1);
  const shown = await ask([DB, BOTH], { ...denied, output: 'text' });
  expect(shown.printed).toContain('partly   shop/front -> shop/store:5432/tcp, expected denied\n');
});

test('the endpoints are those that the client’s node would choose', async () => {
  const local = service('store', { clusterIP: '10.96.0.10', internalTrafficPolicy: 'Local' });
  const fromOther = 'shop/other -> shop/store:5432';
  expect(await answer([DB, BOTH], fromOther)).toMatchObject({ partly: true });
  expect(await answer([local, BOTH], fromOther)).toMatchObject({ allowed: true });
  expect(await answer([local, BOTH], 'node/nowhere -> shop/store:5432')).toHaveProperty('error');
  const unready = slice('store', [
    ['10.0.1.3', 'n1', false],
    ['10.0.2.1', 'n2'],
  ]);
  expect(await answer([DB, unready], 'shop/front -> shop/store:5432')).toMatchObject({
    allowed: true,
  });
});

test.each([
  ['no slice', [DB], 'shop/store:5432', 'no endpoint of Service shop/store is in the files'],
  [
    'no slice, by address',
    [DB],
    '10.96.0.10:5432',
    'no endpoint of Service shop/store is in the files',
  ],
  [
    'nobody ready',
    [DB, slice('store', [['10.0.1.3', 'n1', false]])],
    'shop/store:5432',
    'no endpoint of Service shop/store is usable',
  ],
  [
    'another port',
    [DB, ENDPOINT],
    'shop/store:80',
    'Service shop/store has no port 80/tcp; it has 5432/tcp',
  ],
  ['another protocol', [DB, ENDPOINT], '10.96.0.10/icmp', 'hands on no ICMP'],
  [
    'no clusterIP',
    [service('store', { clusterIP: 'None' })],
    'shop/store:5432',
    'has no clusterIP',
  ],
  [
    'an external address',
    [service('store', { clusterIP: '10.96.0.10', externalIPs: ['192.0.2.1'] }), ENDPOINT],
    '192.0.2.1:5432',
    'an external address of Service shop/store',
  ],
  [
    'an address of the Services’ network that is nobody’s',
    [
      DB,
      {
        ...{ apiVersion: 'networking.k8s.io/v1', kind: 'ServiceCIDR', metadata: { name: 'all' } },
        spec: { cidrs: ['10.96.0.0/12'] },
      },
    ],
    '10.96.0.99:5432',
    'of the Services’ network 10.96.0.0/12'.replace('’', "'"),
  ],
])('no verdict, and why: %s', async (_name, objects, to, problem) => {
  const { code, printed } = await ask(objects, { probe: `shop/cart -> ${to}` });
  expect([code, JSON.parse(printed)]).toEqual([2, { error: expect.stringContaining(problem) }]);
});

test('without Services an address is told to be no clusterIP’s verdict', async () => {
  const noted = 'policies see the pods behind it instead';
  const text = 'shop/cart -> 10.96.0.10:5432';
  expect(await answer([], text)).toMatchObject({
    allowed: true,
    reason: expect.stringContaining(noted),
  });
  expect(await answer([service('x', { clusterIP: '10.96.0.1' })], text)).toMatchObject({
    allowed: true,
    reason: expect.not.stringContaining(noted),
  });
});

test('a place that the files do not know is told', async () => {
  const elsewhere = slice('store', [['10.0.9.9', 'n9']]);
  expect(await answer([DB, elsewhere], 'shop/cart -> shop/store:5432')).toMatchObject({
    allowed: true,
    reason: expect.stringContaining('10.0.9.9 is no pod of the files'),
  });
});
