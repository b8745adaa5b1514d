import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { runPolicyCheck } from '../../../src/cli/policy/check.ts';
import { readManifests } from '../../../src/kube/manifests/read-manifests.ts';

const POD = (key: string) => `
apiVersion: v1
kind: Pod
metadata: {namespace: ${key.split('/')[0]}, name: ${key.split('/')[1]}, labels: {app: ${key.split('/')[1]}}}
spec: {nodeName: n1, containers: [{name: c, ports: [{containerPort: 80, name: web}]}]}
---`;
const DENY = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: only-cart}
spec: {podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: cart}}}]}]}
---`;
const PODS = ['shop/cart', 'shop/db', 'web/front'].map(POD).join('');

let directory: string;
let printed = '';
let errors = '';

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'policy-check-'));
  printed = '';
  errors = '';
});
afterEach(() => rmSync(directory, { recursive: true }));

function check(
  flags: Record<string, unknown>,
  files: Record<string, string> = {},
): Promise<number> {
  return runPolicyCheck(
    { manifests: directory, ...flags },
    {
      readManifests,
      readFile: (path) => files[path] ?? '',
      print: (text) => {
        printed += text;
      },
      printError: (text) => {
        errors += text;
      },
    },
  );
}

function lines(): unknown[] {
  return printed
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);
}

test('what is not read is named, and a directory without pods', async () => {
  const deployment = 'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n---';
  const admin =
    'apiVersion: policy.networking.k8s.io/v1alpha1\nkind: AdminNetworkPolicy\nmetadata: {name: all}\n---';
  writeFileSync(join(directory, 'a.yaml'), `${deployment}\n${deployment}\n${admin}${DENY}`);
  expect(await check({ matrix: true })).toBe(0);
  expect(errors.split('\n')).toEqual([
    `weft: ${directory}: not read: 2 apps/v1 Deployment, 1 policy.networking.k8s.io/v1alpha1 AdminNetworkPolicy`,
    `weft: ${directory} has no Pods: nobody is asked about`,
    '',
  ]);
});

describe('probes', () => {
  beforeEach(() => writeFileSync(join(directory, 'a.yaml'), PODS + DENY));

  test('as expected: 0', async () => {
    const code = await check({
      probe: 'shop/cart -> shop/db:80',
      denied: ['web/front → shop/db:80/tcp'],
    });
    expect(code).toBe(0);
    expect(printed).toContain('denied   web/front -> shop/db:80/tcp\n');
  });

  test('another verdict than expected: 1', async () => {
    expect(await check({ probe: ['web/front -> shop/db:80'] })).toBe(1);
    expect(printed).toContain('expected allowed');
  });

  test('JSON lines in the order asked; somebody unknown: 2', async () => {
    const file = [
      '{"from":"web/front","to":"shop/db","protocol":"TCP","port":80}',
      '{"from":"nobody/here","to":"shop/db","protocol":"TCP","port":80}',
      '{"from":"shop/cart","to":"shop/db","protocol":"TCP","port":80,"allowed":true}',
    ].join('\n');
    expect(await check({ probes: 'p.jsonl', output: 'json' }, { 'p.jsonl': file })).toBe(2);
    expect(lines()).toMatchObject([
      { allowed: false, reason: expect.stringContaining('shop/only-cart') },
      { error: 'no Pod nobody/here' },
      { allowed: true },
    ]);
  });

  test.each([
    ['shop/cart shop/db:80', '--probe: '],
    ['shop/cart -> shop/db', '--probe: '],
    ['shop/cart -> shop/db:0', '--probe: '],
  ])('%s is a wrong command line', async (probe, message) => {
    await expect(check({ probe })).rejects.toThrow(message);
  });

  test('a wrong line of a file is named by its number', async () => {
    await expect(check({ probes: 'p' }, { p: '\n{"from":1}' })).rejects.toThrow('p:2: ');
  });
});

test('without a question: who reaches whom', async () => {
  writeFileSync(join(directory, 'a.yaml'), PODS + DENY);
  expect(await check({})).toBe(0);
  expect(printed).toContain('shop/db:80/tcp\n    from shop/cart\n');
  expect(printed).toContain('shop/cart:80/tcp\n    from every pod\n');
});

test('against what was before: 1 and each verdict that differs', async () => {
  writeFileSync(join(directory, 'a.yaml'), PODS + DENY);
  const former = mkdtempSync(join(tmpdir(), 'policy-check-'));
  try {
    writeFileSync(join(former, 'a.yaml'), PODS);
    expect(await check({ against: former })).toBe(1);
    expect(printed).toContain('- web/front -> shop/db:80/tcp denied\n');
    expect(printed).toContain('1 verdicts differ');
    printed = '';
    expect(await check({ against: directory, output: 'json' })).toBe(0);
    expect(printed).toBe('');
  } finally {
    rmSync(former, { recursive: true });
  }
});

test('manifests that cannot be read are no answer', async () => {
  writeFileSync(join(directory, 'a.yaml'), 'kind: Pod\napiVersion: v1\nmetadata: {name: 7}\n');
  await expect(check({ probe: 'a/b -> c/d:1' })).rejects.toThrow(/a\.yaml:3:\d+: metadata\.name/);
  await expect(check({ manifests: join(directory, 'none') })).rejects.toThrow('ENOENT');
});

test('what is not supported is said', async () => {
  const cluster = `
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: names}
spec: {tier: Admin, priority: 1, subject: {namespaces: {}}, egress: [{action: Accept, to: [{domainNames: [a.example]}]}]}
`;
  writeFileSync(join(directory, 'a.yaml'), PODS + cluster);
  expect(await check({ matrix: true, output: 'json' })).toBe(0);
  expect(errors).toContain('ClusterNetworkPolicy names: egress[0]: domainNames is not supported');
  expect(lines()).toHaveLength(6);
});
