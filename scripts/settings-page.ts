/** The reference page of all settings, from the rows that settings are made of. */
import { AGENT_SETTINGS } from '../src/agent/config/agent-settings.ts';
import { KUBE_PROXY_SETTINGS } from '../src/agent/config/kube-proxy-settings.ts';
import { OWN_SETTINGS } from '../src/agent/config/own-settings.ts';
import {
  type AnySetting,
  rowsOf,
  type SettingTable,
  shownDefault,
} from '../src/agent/config/setting.ts';

const HEAD = `# Settings

Made by \`make settings-page\` from the tables in src/agent/config; a test compares. A flag replaces the
value of the file. "live": a changed file takes effect without a restart; for the others the log names the
key and the old value stays.
`;

export function settingsPage(): string {
  const { cni, etcd, fabric, policy, routing, kubelet, ...own } = AGENT_SETTINGS;
  const agentOnly = Object.fromEntries(
    Object.entries(own).filter(([key]) => !(key in OWN_SETTINGS)),
  );
  return [
    HEAD,
    section('weft agent', 'The file that `weft agent --config` names.', agentOnly),
    section(
      'weft agent and weft proxy',
      'In the file of `weft agent`; `weft proxy` takes the flags, and `--run-dir`.',
      OWN_SETTINGS,
    ),
    section('etcd', 'Below `etcd:` in the file of `weft agent`.', { etcd }),
    section('kubelet', 'Below `kubelet:` in the file of `weft agent`.', { kubelet }),
    section('cni', 'Below `cni:` in the file of `weft agent`.', { cni }),
    section('fabric', 'Below `fabric:` in the file of `weft agent`.', { fabric }),
    section('policy', 'Below `policy:` in the file of `weft agent`.', { policy }),
    section('routing', 'Below `routing:` in the file of `weft agent`.', { routing }),
    section(
      'KubeProxyConfiguration',
      'The file of `weft proxy`, and below `proxy:` in that of `weft agent`, which has the flag ' +
        '`--proxy-mode` too. Names, defaults and flags are those of kube-proxy 1.36.',
      KUBE_PROXY_SETTINGS,
    ),
  ].join('\n');
}

function section(title: string, words: string, table: SettingTable): string {
  const rows = [...rowsOf(table)].map(({ path, row }) => line(path.join('.'), row));
  const head = '| key | flag | takes | default | live | |\n| --- | --- | --- | --- | --- | --- |';
  return `## ${title}\n\n${words}\n\n${head}\n${rows.join('\n')}\n`;
}

function line(key: string, row: AnySetting): string {
  const flag = row.flag === undefined ? '' : `\`${row.flag.length > 1 ? '--' : '-'}${row.flag}\``;
  const fallback = shownDefault(row);
  const shown = fallback === undefined ? '' : `\`${fallback}\``;
  const cells = [`\`${key}\``, flag, takes(row), shown, row.isLive ? 'yes' : '', row.describe];
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

function takes({ kind, choices, min, max }: AnySetting): string {
  if (choices !== undefined) return choices.join(', ');
  if (kind === 'duration') return min === undefined ? 'duration' : 'duration, not 0';
  if (min === undefined) return kind === 'gates' ? 'map of booleans' : kind;
  return max === undefined ? `${kind}, ${min} or more` : `${kind}, ${min} to ${max}`;
}
