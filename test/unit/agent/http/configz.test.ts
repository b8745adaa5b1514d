import { expect, test } from 'vitest';
import { resolveAgentConfig } from '../../../../src/agent/config/agent-config.ts';
import { AGENT_SETTINGS } from '../../../../src/agent/config/agent-settings.ts';
import { rowsOf } from '../../../../src/agent/config/setting.ts';
import { configzText } from '../../../../src/agent/http/configz.ts';

const surroundings = { hostname: 'node-a', environment: {} };
const shown = (text: string) =>
  JSON.parse(configzText(resolveAgentConfig({}, [{ path: 'f', text }], surroundings)));

const FILE = `
components: [cni, fabric]
nodeName: node-b
kubeconfig: /k
apiServers: ["https://10.0.0.1:6443"]
cni: {binDirectory: /b, criSocket: /s, confDirectory: /c}
fabric: {backend: host-gw, clusterCIDRs: [10.244.0.0/16]}
`;

test('/configz shows every setting of the agent by the names of its file', () => {
  const { weft } = shown(FILE);
  for (const { path } of rowsOf(AGENT_SETTINGS)) {
    // Other sources of objects, which exclude kubeconfig.
    if (path[0] === 'manifests' || path[0] === 'etcd') continue;
    expect(weft, path.join('.')).toHaveProperty([...path]);
  }
  expect(weft).toMatchObject({
    components: ['cni', 'fabric'],
    kubeconfig: '/k',
    apiServers: ['https://10.0.0.1:6443'],
    cni: { confDirectory: '/c', ipamDirectory: '/var/lib/cni/networks' },
    fabric: { backend: 'host-gw', tunnelPort: 8472, clusterCIDRs: ['10.244.0.0/16'] },
  });
});

test('/configz shows the directory of manifests', () => {
  expect(shown('manifests: /m').weft.manifests).toBe('/m');
});

test('/configz shows where etcd is, and no password', () => {
  const file = 'etcd: {endpoints: ["https://e:2379"], user: w, passwordFile: /p}';
  expect(shown(file).weft.etcd).toMatchObject({
    ...{ endpoints: ['https://e:2379'], user: 'w', passwordFile: '/p', prefix: '/weft' },
  });
});

test('what /configz shows is a file that the agent takes', () => {
  const { weft, 'kubeproxy.config.k8s.io': proxy } = shown(FILE);
  expect(shown(JSON.stringify({ ...weft, proxy })).weft).toEqual(weft);
});

test('/configz hides the user of --master', () => {
  const config = resolveAgentConfig({}, [{ path: 'f', text: FILE }], surroundings);
  const kubelet = { kubeconfigs: [], hostRoot: '/' };
  const servers = ['https://user:secret@10.0.0.1:6443/'];
  const source = { kind: 'apiServer', kubeconfig: undefined, servers, kubelet } as const;
  const text = configzText({ ...config, source });
  expect(text).toContain('"apiServers":["https://10.0.0.1:6443"]');
  expect(text).not.toContain('secret');
});
