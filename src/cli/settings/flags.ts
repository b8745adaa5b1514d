import { describeFlag } from '../../agent/config/kube-proxy-flag-table.ts';
import { isSetting, type SettingTable } from '../../agent/config/setting.ts';
import type { Declaration } from '../declaration.ts';

/** Declares the flags of a table's rows, so that `--help` lists them and the parser knows their kinds. */
export function declareSettings(declaration: Declaration, table: SettingTable): Declaration {
  for (const entry of Object.values(table)) {
    if (!isSetting(entry) || entry.flag === undefined) continue;
    const describe = describeFlag(entry);
    if (entry.kind === 'boolean') declaration.option(entry.flag, { type: 'boolean', describe });
    else declaration.option(entry.flag, { type: 'string', describe });
  }
  return declaration;
}
