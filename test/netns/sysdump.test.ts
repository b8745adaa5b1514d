/** A support bundle of a node, with an agent and without; secrets that are everywhere are not in it. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { PieceOutcome } from '../../src/agent/sysdump/piece.ts';
import { Cluster, type ClusterNode, WEFT_BINARY } from '../support/cluster.ts';
import { nodeManifest, serviceManifest } from '../support/manifests.ts';

/** Each in another place, so that one sees which has come through. */
const SECRETS = {
  environment: 'hunter-environment',
  annotation: 'hunter-annotation',
  conflist: 'hunter-conflist',
  confEnv: 'hunter-conf-env',
  kubeconfig: 'hunter-kubeconfig',
  key: 'hunterPrivateKey',
  url: 'hunter-url',
} as const;
const PEM = `-----BEGIN EC PRIVATE KEY-----\n${SECRETS.key}\n-----END EC PRIVATE KEY-----`;

let cluster: Cluster;
let node: ClusterNode;
let confDir: string;

beforeAll(async () => {
  cluster = new Cluster(1, 'sysdump');
  [node] = cluster.nodes as [ClusterNode];
  const annotations = {
    'example.com/token': SECRETS.annotation,
    'kubectl.kubernetes.io/last-applied-configuration': `{"password":"${SECRETS.annotation}"}`,
    'weft.dev/balancing': `password=${SECRETS.annotation}`,
  };
  const service: { metadata?: object } = serviceManifest({
    ...{ name: 'web', clusterIPs: ['172.30.0.10'], port: 80 },
  });
  const annotated = { ...service, metadata: { ...service.metadata, annotations } };
  cluster.writeManifest('objects.yaml', [nodeManifest(1, node.addresses), annotated]);
  confDir = join(cluster.directory, 'net.d');
  mkdirSync(confDir);
  const plugin = {
    ...{ type: 'other', api_token: SECRETS.conflist, note: PEM, env: { X: SECRETS.confEnv } },
    url: `https://user:${SECRETS.url}@example.com/`,
  };
  const conflist = { cniVersion: '1.0.0', name: 'pods', plugins: [plugin] };
  writeFileSync(join(confDir, '10-pods.conflist'), JSON.stringify(conflist));
  writeFileSync(
    join(confDir, 'other-kubeconfig'),
    `users:\n- user: {token: ${SECRETS.kubeconfig}}\n`,
  );
  // Also what the agent, or the command, has in its environment.
  process.env['WEFT_TEST_PASSWORD'] = SECRETS.environment;
  await node.startAgent();
  await node.createPod('a');
}, 60_000);

afterAll(async () => {
  delete process.env['WEFT_TEST_PASSWORD'];
  await cluster?.remove();
});

interface Dump {
  readonly path: string;
  readonly files: ReadonlyMap<string, string>;
  readonly outcomes: ReadonlyMap<string, PieceOutcome>;
  readonly printed: string;
}

function dump(name: string): Dump {
  const path = join(cluster.directory, `${name}.tar.gz`);
  const flags = ['--run-dir', node.runDir, '--output-file', path, '--cni-conf-dir', confDir];
  const printed = node.netns.run(WEFT_BINARY, 'sysdump', ...flags);
  const into = join(cluster.directory, name);
  mkdirSync(into);
  execFileSync('tar', ['-xzf', path, '-C', into, '--strip-components=1']);
  const files = new Map(
    readdirSync(into, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .map((file) => [file.slice(into.length + 1), readFileSync(file, 'utf8')]),
  );
  // The command writes exactly this.
  const outcomes = JSON.parse(files.get('index.json') ?? '') as PieceOutcome[];
  return { path, files, outcomes: new Map(outcomes.map((each) => [each.name, each])), printed };
}

function leaks({ files }: Dump): readonly string[] {
  return Object.entries(SECRETS).flatMap(([where, secret]) =>
    [...files].filter(([, text]) => text.includes(secret)).map(([file]) => `${where} in ${file}`),
  );
}

describe('with an agent', () => {
  let bundle: Dump;
  beforeAll(() => {
    bundle = dump('with');
  }, 60_000);

  test('only its owner reads it', () => {
    expect(statSync(bundle.path).mode & 0o777).toBe(0o600);
    expect(bundle.printed).toContain(`${bundle.path}: `);
  });

  test.each([
    ['agent/status.json', /"isRunning": true/],
    ['agent/doctor.json', /"findings"/],
    ['agent/configuration.json', /"kubeproxy.config.k8s.io"/],
    ['agent/log.jsonl', /services and endpoints read/],
    ['agent/services.json', /default\/web|"web"/],
    ['agent/pods.json', /10\.244\.1\.2/],
    ['agent/flows.jsonl', /"kind":"live"/],
    ['rules/nft.json', /no-endpoint-services/],
    ['rules/iptables-save.txt', /.*/],
    ['network/links.json', /cni0/],
    ['network/routes.json', /10\.244\.1\.0\/24/],
    ['node/sysctls.txt', /^net\/ipv4\/ip_forward = 1$/m],
    ['node/proc/net/stat/nf_conntrack.txt', /entries/],
    ['node/run-directory.txt', /agent\.sock/],
    ['cni/10-pods.conflist', /"api_token": "\*\*\*"/],
    ['cni/other-kubeconfig', /^not shown/],
    ['versions/versions.json', /"kernel"/],
  ])('%s', (file, content) => {
    expect(
      bundle.files.get(file) ?? `not there: ${JSON.stringify(bundle.outcomes.get(file))}`,
    ).toMatch(content);
  });

  test('what this agent does not run is noted', () => {
    expect(bundle.outcomes.get('agent/policies.json')).toMatchObject({
      ...{ outcome: 'failed', reason: expect.stringMatching(/without the component policy/) },
    });
  });

  test('no secret is in it', () => {
    expect(leaks(bundle)).toEqual([]);
    expect(bundle.files.get('node/sysctls.txt')).not.toMatch(/secret|fastopen_key/);
  });
});

test('without an agent it has the node, and what is on record', async () => {
  await node.stopAgent();
  const bundle = dump('without');
  expect(bundle.outcomes.get('agent/status.json')).toMatchObject({
    ...{ outcome: 'failed', reason: expect.stringMatching(/nobody answers/) },
  });
  expect(bundle.files.get('on-record/attachments.json')).toContain('10.244.1.2');
  expect(bundle.files.get('on-record/doctor.json')).toContain('findings');
  expect(bundle.files.get('rules/nft.json')).toContain('weft-proxy');
  expect(leaks(bundle)).toEqual([]);
}, 60_000);
