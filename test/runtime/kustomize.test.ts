import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { build, textOf } from '../../scripts/manifests/kustomize.ts';
import { MANIFESTS, type ManifestName, renderManifest } from '../../scripts/manifests/render.ts';
import { patchesFor } from '../../scripts/manifests/values.ts';
import { pageCommands } from '../support/page-commands.ts';

const ROOT = new URL('../..', import.meta.url).pathname;
const FOLDER = join(ROOT, 'cni-conf/kustomize');
/** Where scripts/setup-runtimes.sh puts it when the machine has none. */
const OWN_KUBECTL = join(ROOT, 'dist/kubectl/kubectl');
const KUBECTL = existsSync(OWN_KUBECTL) ? OWN_KUBECTL : 'kubectl';

/** By kind and name: the order is kustomize's own. */
function objectsOf(text: string): Readonly<Record<string, unknown>> {
  const objects = parseAllDocuments(text).map((document) => document.toJS());
  return Object.fromEntries(objects.map((one) => [`${one.kind} ${one.metadata.name}`, one]));
}

function kustomize(folder: string) {
  return objectsOf(execFileSync(KUBECTL, ['kustomize', folder], { encoding: 'utf8' }));
}

/** A kustomization beside those that are there, which kustomize wants to be relative. */
function overlay(kustomization: object): string {
  mkdirSync(join(ROOT, 'dist'), { recursive: true });
  const folder = mkdtempSync(join(ROOT, 'dist/overlay-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'kustomization.yaml'), JSON.stringify(kustomization));
  return folder;
}

test.each(Object.entries(MANIFESTS))('%s is what kubectl makes of %s', (name, folder) => {
  const made = renderManifest(name as ManifestName, {});
  expect(objectsOf(made)).toEqual(kustomize(join(FOLDER, folder)));
});

test.each(readdirSync(join(FOLDER, 'components')))('with the component %s', (name) => {
  const resources = ['../../cni-conf/kustomize/base'];
  const folder = overlay({
    resources,
    components: [`../../cni-conf/kustomize/components/${name}`],
  });
  expect(objectsOf(textOf(build(folder)))).toEqual(kustomize(folder));
});

test('the values of `make manifests` are what a kustomization with these patches makes', () => {
  const values = {
    API_SERVER: 'https://[fd00::1]:6443',
    POD_CIDRS: '10.244.0.0/16,fd00:10:244::/48',
    BACKEND: 'host-gw',
    PROXY_MODE: 'ipvs',
    NODE_SELECTOR: 'example.net/network=weft',
    IMAGE: 'registry.example.net/weft:1',
  };
  const patches = patchesFor(values).map(({ target, operations }) => {
    return { target, patch: JSON.stringify(operations) };
  });
  const [newName, newTag] = values.IMAGE.split(/:(?=\d+$)/);
  const images = [{ name: 'weft.dev/weft', newName, newTag }];
  const folder = overlay({ resources: ['../../cni-conf/kustomize/weft'], patches, images });
  expect(objectsOf(renderManifest('weft.yaml', values))).toEqual(kustomize(folder));
});

/** Nobody listens there: a command that kubectl understands comes as far as that. */
const NOBODY = ['--server=http://127.0.0.1:1', '--request-timeout=2s'];
const COMMANDS = ['README.md', 'docs/install.md', 'docs/migrate.md', 'docs/operate.md']
  .flatMap((page) => pageCommands(page))
  .filter((command) => command.startsWith('kubectl '));

/** What kubectl says of a command with a shell's quotes, without what is piped. */
function said(command: string): string {
  const line = command.replace(/^kubectl|\s*\|.*/g, '');
  const words = ['-c', `exec "$0" "$@" ${line}`, KUBECTL, ...NOBODY];
  return spawnSync('bash', words, { encoding: 'utf8', timeout: 20_000, cwd: ROOT }).stderr;
}

test.each([...new Set(COMMANDS)].filter((command) => !/ -f dist\//.test(command)))(
  'kubectl understands: %s',
  (command) => {
    expect(said(command)).toMatch(/connection .* refused|connection to the server/);
  },
);

test('and says so where it does not', () => {
  expect(said('kubectl drain NODE --delete-everything')).toContain('unknown flag');
});
