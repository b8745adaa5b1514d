import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { agentFile } from '../../../scripts/manifests/agent-file.ts';
import { configMap } from '../../../scripts/manifests/config-map.ts';
import { resolveAgentConfig } from '../../../src/agent/config/agent-config.ts';
import { configzText } from '../../../src/agent/http/configz.ts';

/** Settings in effect by their path. */
function settingsOf(text: string): ReadonlyMap<string, string> {
  const environment = { KUBERNETES_SERVICE_HOST: '10.96.0.1' };
  const config = resolveAgentConfig({}, [{ path: 'weft.yaml', text }], {
    hostname: 'node-a',
    environment,
  });
  return new Map(leaves(JSON.parse(configzText(config)), []));
}

function* leaves(value: unknown, path: readonly string[]): Generator<[string, string]> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    yield [path.join('.'), JSON.stringify(value)];
    return;
  }
  for (const [key, inner] of Object.entries(value)) yield* leaves(inner, [...path, key]);
}

test('an agent without pods differs from one in a pod only where that needs it', () => {
  const pod = settingsOf(parse(configMap()).data['10-weft.yaml']);
  const release = settingsOf(agentFile());
  const paths = [...new Set([...pod.keys(), ...release.keys()])];
  expect(paths.length).toBeGreaterThan(70);
  expect(paths.filter((path) => pod.get(path) !== release.get(path)).sort()).toEqual([
    // CAP_SYS_RESOURCE, which the pod does without.
    'kubeproxy.config.k8s.io.oomScoreAdj',
    // The pod's account.
    'weft.kubeconfig',
    // What the init container hands over.
    'weft.kubelet.hostRoot',
  ]);
});

test('both are for pods of the fabric', () => {
  const release = settingsOf(agentFile());
  expect(release.get('kubeproxy.config.k8s.io.detectLocalMode')).toBe('"NodeCIDR"');
  expect(release.get('kubeproxy.config.k8s.io.nodePortAddresses')).toBe('["primary"]');
});
