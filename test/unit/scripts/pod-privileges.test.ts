import { dirname } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { MANIFESTS, type ManifestName, renderManifest } from '../../../scripts/manifests/render.ts';
import { AGENT_SETTINGS } from '../../../src/agent/config/agent-settings.ts';

interface Container {
  readonly name: string;
  readonly image: string;
  readonly securityContext: {
    readonly privileged: boolean;
    readonly allowPrivilegeEscalation?: boolean;
    readonly capabilities?: { readonly drop?: readonly string[]; readonly add?: readonly string[] };
  };
  readonly volumeMounts: readonly {
    readonly name: string;
    readonly mountPath: string;
    readonly readOnly?: boolean;
  }[];
}

interface PodSpec {
  readonly initContainers: readonly Container[];
  readonly containers: readonly Container[];
  readonly volumes: readonly { readonly name: string; readonly hostPath?: { path: string } }[];
}

function podSpec(name: ManifestName, values = {}): PodSpec {
  const objects = parseAllDocuments(renderManifest(name, values)).map((each) => each.toJS());
  return objects.find(({ kind }) => kind === 'DaemonSet').spec.template.spec;
}

const NAMES = Object.keys(MANIFESTS) as ManifestName[];
const OF_AGENTS = NAMES.filter((name) => name !== 'weft-uninstall.yaml');

describe.each(OF_AGENTS)('the pod of %s', (name) => {
  const { containers, initContainers, volumes } = podSpec(name);
  const all = [...initContainers, ...containers];
  const credentials = volumes.filter(({ hostPath }) => hostPath?.path === '/etc/kubernetes');

  test('shows credentials of the node only to a container without capabilities', () => {
    expect(credentials.length).toBe(1);
    const seers = all.filter(({ volumeMounts }) =>
      volumeMounts.some((mount) => mount.name === credentials[0]?.name),
    );
    expect(seers.map((seer) => seer.name)).toEqual(['kubelet-server']);
    expect(seers[0]?.securityContext).toMatchObject({
      privileged: false,
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
    });
    expect(seers[0]?.securityContext.capabilities?.add).toBeUndefined();
    expect(seers[0]?.volumeMounts.at(-1)?.readOnly).toBe(true);
  });

  test("mounts where the kubelet's kubeconfig is looked for", () => {
    const mounted = all.flatMap(({ volumeMounts }) => volumeMounts.map((mount) => mount.mountPath));
    for (const path of AGENT_SETTINGS.kubelet.kubeconfigs.fallback as readonly string[]) {
      expect(mounted).toContain(`/host${dirname(path)}`);
    }
  });
});

test.each(NAMES)('IMAGE is that of every container of %s', (name) => {
  const image = 'registry.example.net/weft:1';
  const { containers, initContainers } = podSpec(name, { IMAGE: image });
  const images = [...initContainers, ...containers].map((container) => container.image);
  expect(new Set(images)).toEqual(new Set([image]));
});
