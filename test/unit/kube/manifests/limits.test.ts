import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import {
  kindId,
  type ManifestError,
  parseManifest,
} from '../../../../src/kube/manifests/manifest-file.ts';
import { readManifests } from '../../../../src/kube/manifests/read-manifests.ts';
import { networkPolicies } from '../../../../src/kube/policy/resources.ts';
import { endpointSlices, services } from '../../../../src/kube/resources.ts';

const KINDS = [services, endpointSlices, networkPolicies];
const WANTED = new Map(KINDS.map((kind) => [kindId(kind), kind]));
const MANY = 100_000;
const repeat = (count: number, text: (index: number) => string) =>
  Array.from({ length: count }, (_, index) => text(index)).join('');

const SERVICE = 'apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: b}\n';
const SLICE = `apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: a, namespace: b, labels: {kubernetes.io/service-name: a}}
addressType: IPv4
ports: [{port: 80}]
endpoints:
`;
const POLICY = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: a, namespace: b}
spec:
  podSelector: {}
  ingress:
  - ports:
`;
const address = (index: number) => `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`;

/** An agent that is held for longer answers no call meanwhile. */
async function refusal(text: string): Promise<{ error: ManifestError; cpuMs: number }> {
  const before = process.cpuUsage();
  // It throws nothing else.
  const error = await parseManifest(text, WANTED).then(
    () => undefined,
    (thrown) => thrown as ManifestError,
  );
  const { user, system } = process.cpuUsage(before);
  if (error === undefined) throw new Error('nothing was refused');
  return { error, cpuMs: (user + system) / 1_000 };
}

const PORTS = Array.from({ length: MANY }, (_, index) => ({ name: `p${index}`, port: 1 }));
const object = { apiVersion: 'v1', kind: 'Service', spec: { ports: PORTS } };

test.each<[string, string, RegExp]>([
  [
    '100,000 ports of a Service',
    `${SERVICE}spec:\n  ports:\n${repeat(MANY, (i) => `  - {name: p${i}, port: 1}\n`)}`,
    /^2\.\d MiB of YAML in one piece: 1\.0 MiB is the most; write it as JSON/,
  ],
  [
    '100,000 ports of a Service in JSON',
    JSON.stringify({ ...object, spec: { ports: PORTS.map((port) => ({ ...port, nodePort: 1 })) } }),
    /^one object of \d\.\d MiB: 3\.0 MiB is the most that an API server takes$/,
  ],
  ['100,000 endpoints', SLICE + repeat(MANY, (i) => `- {addresses: [${address(i)}]}\n`), /MiB/],
  [
    '100,000 addresses of an endpoint',
    `${SLICE}- addresses:\n${repeat(MANY, (i) => `  - ${address(i)}\n`)}`,
    /MiB of YAML/,
  ],
  ['100,000 ports of a policy', POLICY + repeat(MANY, () => '    - port: 80\n'), /MiB of YAML/],
  [
    '100,000 lists in one another',
    `a: ${'['.repeat(MANY)}${']'.repeat(MANY)}`,
    /^more than 500 lists/,
  ],
  [
    'the same in JSON',
    `{"a":${'['.repeat(MANY)}${']'.repeat(MANY)}}`,
    /^more than 500 lists or mappings within one another$/,
  ],
  ['100,000 entries in one another', '- '.repeat(MANY), /^more than 500 lists/],
  [
    'aliases of aliases',
    `a: &a [1,1,1,1,1,1,1,1,1]\n${repeat(8, (i) => {
      const [one, next] = ['abcdefghi'[i], 'abcdefghi'[i + 1]];
      return `${next}: &${next} [${Array(9).fill(`*${one}`).join(',')}]\n`;
    })}`,
    /^Excessive alias count/,
  ],
])('%s are refused at once', async (_name, text, message) => {
  const { error, cpuMs } = await refusal(text);
  expect(error.message).toMatch(message);
  expect(cpuMs).toBeLessThan(3_000);
});

test('the place of what is too large is told', async () => {
  const large = `${SERVICE}spec:\n  ports:\n${repeat(MANY, (i) => `  - {name: p${i}, port: 1}\n`)}`;
  const { error } = await refusal(`a: 1\n---\n${large}`.replace('a: 1', '# nothing'));
  expect([error.line, error.column, error.key]).toEqual([2, 1, '']);
});

test('50,000 labels cost no more than their number', async () => {
  const labels = repeat(50_000, (i) => `    k${i}: v\n`);
  const { error, cpuMs } = await refusal(
    `apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n  labels:\n${labels}`,
  );
  expect(error.message).toBe('spec is missing');
  // The parser's own comparison of keys took minutes.
  expect(cpuMs).toBeLessThan(20_000);
}, 60_000);

test.each([
  ['a: 1\nb: {c: 1, c: 2}\n', 2, 11],
  ['a: 1\na: 2\n', 2, 1],
])('a key that is there twice is still refused: %j', async (text, line, column) => {
  const { error } = await refusal(text);
  expect([error.message, error.line, error.column]).toEqual([
    'Map keys must be unique',
    line,
    column,
  ]);
});

test('a file larger than any cluster is not read', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'weft-large-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  writeFileSync(join(directory, 'a.yaml'), '');
  truncateSync(join(directory, 'a.yaml'), (256 << 20) + 1);
  const { problems } = await readManifests(directory, [services]);
  expect(problems).toEqual([`${join(directory, 'a.yaml')}: is larger than 256 MiB`]);
});
