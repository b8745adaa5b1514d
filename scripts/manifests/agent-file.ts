import { WITHOUT_PODS } from './node-settings.ts';
import { settingsFile } from './settings-file.ts';

/** /etc/weft/weft.yaml of a node that is installed without pods. */
export function agentFile(): string {
  return settingsFile(WITHOUT_PODS, 'systemctl restart weft');
}
