import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { runPolicyCheck } from '../../../src/cli/policy/check.ts';
import { readManifests } from '../../../src/kube/manifests/read-manifests.ts';

const pod = (name: string, ports: string) => `
apiVersion: v1
kind: Pod
metadata: {namespace: shop, name: ${name}, labels: {app: ${name}}}
spec: {nodeName: n1, containers: [{name: c, ports: [${ports}]}]}
---`;
const PODS = pod('db', '') + pod('cart', '{containerPort: 8080, name: web}');
const policy = (name: string, spec: string) => `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: ${name}}
spec: ${spec}
---`;
const clusterPolicy = (protocols: string) => `
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: c}
spec:
  tier: Admin
  priority: 1
  subject: {namespaces: {}}
  ingress: [{action: Deny, from: [{namespaces: {}}], protocols: ${protocols}}]
---`;
const TO_DB = '{podSelector: {matchLabels: {app: db}}, ingress: [{ports: PORTS}]}';

/** `db 5432/TCP true`, by destination and port, and what was told besides. */
async function asked(text: string) {
  const directory = mkdtempSync(join(tmpdir(), 'weft-policy-ports-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  writeFileSync(join(directory, 'a.yaml'), text);
  let printed = '';
  let errors = '';
  await runPolicyCheck(
    { manifests: directory, output: 'json' },
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
  const entries = printed.trim().split('\n');
  const lines = entries.map((line) => {
    const { to, port, protocol, allowed } = JSON.parse(line);
    return `${to.replace('shop/', '')} ${port}/${protocol} ${allowed}`;
  });
  return { lines, errors };
}

test.each([
  ['nothing', '', ['cart 8080/TCP true', 'db 80/TCP true']],
  [
    'the ingress of a policy that selects the pod',
    policy('p', TO_DB.replace('PORTS', '[{port: 5432}]')),
    ['cart 8080/TCP true', 'db 80/TCP false', 'db 5432/TCP true'],
  ],
  [
    'a range, by its ends, and another protocol',
    policy('p', TO_DB.replace('PORTS', '[{port: 7000, endPort: 7099}, {protocol: UDP, port: 53}]')),
    [
      'cart 8080/TCP true',
      ...['53/UDP true', '80/TCP false', '7000/TCP true', '7099/TCP true'].map(
        (one) => `db ${one}`,
      ),
    ],
  ],
  [
    'egress, of every pod',
    policy('p', '{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 5432}]}]}'),
    ['cart 5432/TCP true', 'cart 8080/TCP false', 'db 80/TCP false', 'db 5432/TCP true'],
  ],
  [
    'a name, which is the container’s',
    policy('p', TO_DB.replace('PORTS', '[{port: web}]')),
    ['cart 8080/TCP true', 'db 80/TCP false'],
  ],
  [
    'a cluster policy',
    clusterPolicy('[{tcp: {destinationPort: {number: 22}}}]'),
    ['cart 22/TCP false', 'cart 8080/TCP true', 'db 22/TCP false', 'db 80/TCP true'],
  ],
])('who may connect is asked at ports of containers and of %s', async (_name, policies, want) => {
  const { lines, errors } = await asked(PODS + policies);
  expect([lines, errors]).toEqual([want, '']);
});

test('of very many ports some are left out, and that is told', async () => {
  const ports = Array.from({ length: 1_000 }, (_, index) => `{port: ${index + 1_000}}`);
  const { lines, errors } = await asked(
    PODS + policy('p', TO_DB.replace('PORTS', `[${ports.join(', ')}]`)),
  );
  expect(lines.filter((line) => line.startsWith('db')).length).toBe(51);
  expect(errors).toMatch(/^weft: a pod has too many ports in policies; .* 950 out/);
});
