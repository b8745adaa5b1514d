import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { isSeq, type Node, parse, parseAllDocuments } from 'yaml';
import { configMap } from '../../../scripts/manifests/config-map.ts';
import { applyPatch, build, textOf } from '../../../scripts/manifests/kustomize.ts';
import { MANIFESTS, type ManifestName, renderManifest } from '../../../scripts/manifests/render.ts';
import { type ManifestValues, patchesFor } from '../../../scripts/manifests/values.ts';
import { resolveAgentConfig } from '../../../src/agent/config/agent-config.ts';
import { WEFT_VERSION } from '../../../src/agent/version.ts';
import { ConfigError } from '../../../src/util/errors.ts';

const ROOT = new URL('../../..', import.meta.url).pathname;
const KUSTOMIZE = join(ROOT, 'cni-conf/kustomize');
const NAMES = Object.keys(MANIFESTS) as ManifestName[];
const OF_AGENTS = NAMES.filter((name) => name !== 'weft-uninstall.yaml');
const ALL_VALUES: ManifestValues = {
  API_SERVER: 'https://api.example.net:6443, https://[fd00::1]:6443',
  POD_CIDRS: '10.244.0.0/16,fd00:10:244::/48',
  SERVICE_CIDRS: '10.96.0.0/12',
  BACKEND: 'vxlan',
  PROXY_MODE: 'iptables',
  NODE_SELECTOR: 'example.net/network=weft',
  IMAGE: 'registry.example.net:5000/weft:1',
};

interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly data?: Readonly<Record<string, string>>;
}

function objectsOf(text: string): readonly KubernetesObject[] {
  return parseAllDocuments(text).map((document) => document.toJS() as KubernetesObject);
}

/** What the agent makes of the files that a manifest's ConfigMap gives it. */
function configOf(objects: readonly KubernetesObject[]) {
  const data = objects.find(({ kind }) => kind === 'ConfigMap')?.data ?? {};
  const files = Object.keys(data)
    .sort()
    .map((path) => ({ path, text: data[path] ?? '' }));
  const environment = { KUBERNETES_SERVICE_HOST: '10.96.0.1' };
  return resolveAgentConfig({}, files, { hostname: 'node-a', environment });
}

describe('the ConfigMap', () => {
  test('has every setting as it is (make settings-page)', async () => {
    await expect(configMap()).toMatchFileSnapshot(join(KUSTOMIZE, 'base/config-map.yaml'));
  });

  test('is valid with every comment taken away', () => {
    const text = parse(configMap()).data['10-weft.yaml'] as string;
    const uncommented = text.replaceAll(/^( *)#(?=\S)/gm, '$1');
    expect(uncommented.match(/^ *\w+:/gm)?.length).toBeGreaterThan(70);
    const files = [{ path: '10-weft.yaml', text: uncommented }];
    const environment = { KUBERNETES_SERVICE_HOST: '10.96.0.1' };
    const { proxy } = resolveAgentConfig({}, files, { hostname: 'node-a', environment });
    expect(proxy.syncPeriodMs).toBe(30_000);
  });
});

describe('make manifests', () => {
  test.each(NAMES)('%s', async (name) => {
    const golden = join(ROOT, 'test/golden/manifests', name);
    const text = renderManifest(name, {});
    // The settings are the same in all of them, and have a golden file of their own.
    const settings = /(?<= {2}10-weft\.yaml: \|\n)(?: {4}.*\n|\n)*/;
    await expect(text.replace(settings, '    # …\n')).toMatchFileSnapshot(golden);
  });

  test('with every value', () => {
    const [plain, given] = [{}, ALL_VALUES].map((values) => renderManifest('weft.yaml', values));
    const before = new Set(plain?.split('\n'));
    expect(given?.split('\n').filter((line) => !before.has(line))).toEqual([
      '  50-backend.yaml: |',
      '    fabric:',
      '      backend: vxlan',
      '  50-pod-cidrs.yaml: |',
      '    fabric:',
      '      clusterCIDRs:',
      '        - 10.244.0.0/16',
      '        - fd00:10:244::/48',
      '      detectLocalMode: ClusterCIDR',
      '      clusterCIDR: 10.244.0.0/16,fd00:10:244::/48',
      '  50-service-cidrs.yaml: |',
      '    serviceCIDRs:',
      '      - 10.96.0.0/12',
      '  50-proxy-mode.yaml: |',
      '      mode: iptables',
      '  50-api-server.yaml: |',
      '    apiServers:',
      '      - https://api.example.net:6443',
      '      - https://[fd00::1]:6443',
      '        example.net/network: weft',
      // Of each container.
      ...Array(3).fill('          image: registry.example.net:5000/weft:1'),
    ]);
    const { fabric, proxy } = configOf(objectsOf(given ?? ''));
    expect([fabric.backend, fabric.clusterCIDRs, proxy.mode, proxy.clusterCIDRs]).toEqual([
      'vxlan',
      ['10.244.0.0/16', 'fd00:10:244::/48'],
      'iptables',
      ['10.244.0.0/16', 'fd00:10:244::/48'],
    ]);
  });

  test.each<[keyof ManifestValues, string, RegExp]>([
    ['BACKEND', 'vxlna', /^BACKEND:2: fabric\.backend: expected one of .*"vxlan"/],
    ['BACKEND', 'vxlan\nvni: 7', /^BACKEND:\d: fabric\.backend/],
    ['PROXY_MODE', 'nftable', /^PROXY_MODE:2: proxy\.mode: .*did you mean nftables/],
    [
      'POD_CIDRS',
      '10.244.0.0/33',
      /^POD_CIDRS: "10\.244\.0\.0\/33" is no network: give .*cluster-cidr/,
    ],
    [
      'POD_CIDRS',
      '10.0.0.0/16,10.1.0.0/16',
      /^POD_CIDRS: 10.0.0.0\/16 and 10.1.0.0\/16 are both IPv4: give/,
    ],
    [
      'SERVICE_CIDRS',
      '10.96.0.0',
      /^SERVICE_CIDRS: "10\.96\.0\.0" is no network: .*cluster-ip-range/,
    ],
    ['API_SERVER', 'not a server', /^API_SERVER:\d: apiServers/],
    ['API_SERVER', 'https://a,ftp://b', /^API_SERVER:\d: apiServers/],
    ['NODE_SELECTOR', 'weft', /^NODE_SELECTOR: expected a label of nodes such as network=weft/],
    ['NODE_SELECTOR', 'a/b/c=d', /^NODE_SELECTOR: expected/],
    ['NODE_SELECTOR', 'a=b\nhostPID: true', /^NODE_SELECTOR: expected/],
    ['IMAGE', 'weft image', /^IMAGE: expected REGISTRY\/NAME:TAG/],
  ])('%s=%s is refused', (key, value, message) => {
    expect(() => patchesFor({ [key]: value })).toThrow(message);
    expect(() => patchesFor({ [key]: value })).toThrow(ConfigError);
  });

  test('networks of pods and Services that overlap are refused', () => {
    const values = { POD_CIDRS: '10.0.0.0/8', SERVICE_CIDRS: '10.96.0.0/12' };
    expect(() => patchesFor(values)).toThrow(/^SERVICE_CIDRS: 10\.96\.0\.0\/12 overlaps/);
  });
});

test('what takes weft off looks at all nodes', () => {
  const values = { ...ALL_VALUES, IMAGE: '' };
  expect(renderManifest('weft-uninstall.yaml', values)).toBe(
    renderManifest('weft-uninstall.yaml', {}),
  );
});

describe('what is made', () => {
  test.each(OF_AGENTS)('%s: the agent can read its configuration', (name) => {
    const wanted = {
      'weft.yaml': ['cni', 'proxy', 'fabric', 'policy'],
      'weft-cni-only.yaml': ['cni', 'fabric'],
      'weft-proxy-only.yaml': ['proxy'],
    } as Readonly<Record<string, readonly string[]>>;
    const { components, proxy } = configOf(objectsOf(renderManifest(name, {})));
    expect([[...components], proxy.oomScoreAdj]).toEqual([wanted[name], -997]);
  });

  test.each(OF_AGENTS)('%s: every right and every capability is justified by a comment', (name) => {
    const documents = parseAllDocuments(renderManifest(name, {}));
    const lists = documents.flatMap((document) => [
      document.get('rules', true),
      document.getIn([...MAIN_CONTAINER, 'securityContext', 'capabilities', 'add'], true),
    ]);
    const items = lists.filter(isSeq<Node>).flatMap(({ items: all, commentBefore }) => {
      // What is above the first item belongs to the list.
      return all.map((item, at) => ({
        item,
        comment: item.commentBefore ?? (at === 0 && commentBefore),
      }));
    });
    expect(items.length).toBeGreaterThan(3);
    expect(items.filter(({ comment }) => !comment).map(({ item }) => String(item))).toEqual([]);
  });

  test('is of this version', () => {
    expect(renderManifest('weft.yaml', {})).toContain(`image: weft.dev/weft:${WEFT_VERSION}\n`);
  });

  // An object literal may have no other fields than its type: what is misspelt does not compile.
  test('fits the types of Kubernetes 1.30', () => {
    const objects = NAMES.flatMap((name) => objectsOf(renderManifest(name, ALL_VALUES)));
    expect(compile(objects)).toBe('');
    const [daemonSet] = objects.filter(({ kind }) => kind === 'DaemonSet');
    expect(compile([{ ...daemonSet, spek: {} } as unknown as KubernetesObject])).toContain(
      `'"spek"' does not exist in type 'DaemonSet'`,
    );
  });
});

describe('examples of components', () => {
  const names = readdirSync(join(KUSTOMIZE, 'components'));
  test.each(names)('%s changes what the agent can read', (name) => {
    const folder = mkdtempSync(join(KUSTOMIZE, '.test-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const components = [`../components/${name}`];
    const kustomization = { resources: ['../base'], components };
    writeFileSync(join(folder, 'kustomization.yaml'), JSON.stringify(kustomization));
    const text = textOf(build(folder));
    expect(text).not.toBe(textOf(build(join(KUSTOMIZE, 'base'))));
    expect(configOf(objectsOf(text)).nodeName).toBe('node-a');
  });
});

test('bgp gives passwords of a Secret to the agent alone, and works without one', async () => {
  const folder = mkdtempSync(join(KUSTOMIZE, '.test-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const kustomization = { resources: ['../base'], components: ['../components/bgp'] };
  writeFileSync(join(folder, 'kustomization.yaml'), JSON.stringify(kustomization));
  // The ConfigMap has goldens of its own.
  const text = textOf(build(folder).filter((document) => document.get('kind') === 'DaemonSet'));
  await expect(text).toMatchFileSnapshot(join(ROOT, 'test/golden/manifests/bgp.yaml'));
});

describe('a patch', () => {
  const documents = () => parseAllDocuments('kind: A\nmetadata: {name: a}\nlist:\n  - 1 # one\n');
  const target = { kind: 'A', name: 'a' };

  test('keeps comments, appends, replaces and removes', () => {
    const [document] = documents();
    if (document === undefined) throw new Error('no document');
    const operations = [
      { op: 'add', path: '/list/-', value: 2 },
      { op: 'add', path: '/a~1b', value: { c: 1 } },
      { op: 'replace', path: '/metadata/name', value: 'b' },
      { op: 'remove', path: '/kind' },
    ] as const;
    applyPatch([document], { target, operations });
    expect(document.toString()).toBe(
      'metadata: { name: b }\nlist:\n  - 1 # one\n  - 2\na/b:\n  c: 1\n',
    );
  });

  test.each([
    { target: { kind: 'A', name: 'b' }, operations: [] },
    { target, operations: [{ op: 'replace', path: '/none', value: 1 }] },
    { target, operations: [{ op: 'add', path: '/none/-', value: 1 }] },
  ] as const)('that finds nothing is refused: %j', (patch) => {
    expect(() => applyPatch(documents() as never, patch)).toThrow(RangeError);
  });
});

const MAIN_CONTAINER = ['spec', 'template', 'spec', 'containers', 0];

/** Fields that the generator of the types leaves out. */
const LEFT_OUT = `import 'kubernetes-types/admissionregistration/v1';
declare module 'kubernetes-types/admissionregistration/v1' {
  interface NamedRuleWithOperations { resources?: string[]; scope?: string }
}
`;

/** What the compiler says of the objects as literals of their types. */
function compile(objects: readonly KubernetesObject[]): string {
  const folder = mkdtempSync(join(ROOT, 'node_modules/.test-manifests-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const lines = objects.map((object, index) => {
    const [version = '', group = 'core'] = object.apiVersion.split('/').toReversed();
    const types = `kubernetes-types/${group.split('.')[0]}/${version}`;
    return `const o${index}: import('${types}').${object.kind} = ${JSON.stringify(object)};\n`;
  });
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'objects.ts'), `${lines.join('')}${LEFT_OUT}export {};\n`);
  try {
    const flags = ['--ignoreConfig', '--noEmit', '--strict', '--module', 'preserve', '--types', ''];
    execFileSync(join(ROOT, 'node_modules/.bin/tsc'), [...flags, join(folder, 'objects.ts')]);
    return '';
  } catch (thrown) {
    return String((thrown as { stdout?: Buffer }).stdout);
  }
}
