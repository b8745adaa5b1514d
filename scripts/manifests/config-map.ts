/** cni-conf/kustomize/base/config-map.yaml, which is made of the tables of settings. */
import { Document, Scalar } from 'yaml';
import { IN_A_POD } from './node-settings.ts';
import { settingsFile } from './settings-file.ts';

const HEAD = '# Made by `make settings-page` from the tables in src/agent/config; a test compares.';
const RESTART = 'kubectl -n weft rollout restart daemonset/weft';

export function configMap(): string {
  const document = new Document({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'weft', namespace: 'weft', labels: { 'app.kubernetes.io/name': 'weft' } },
    data: { '10-weft.yaml': '' },
  });
  const text = new Scalar(settingsFile(IN_A_POD, RESTART));
  text.type = Scalar.BLOCK_LITERAL;
  document.setIn(['data', '10-weft.yaml'], text);
  return `${HEAD}\n${document.toString({ lineWidth: 0 })}`;
}
