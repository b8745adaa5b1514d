/** Prints the agent's configuration file of a node that is installed without pods. */
import { settingsFile } from './manifests/settings-file.ts';

process.stdout.write(
  settingsFile(
    { components: ['cni', 'proxy', 'fabric'], kubeconfig: '/etc/weft/kubeconfig' },
    'systemctl restart weft',
  ),
);
