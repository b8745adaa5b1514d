import type { Argv } from 'yargs';
import { describeFlag } from '../agent/config/kube-proxy-flag-table.ts';
import { isSetting, type SettingTable } from '../agent/config/setting.ts';

/** Declares the flags of a table's rows, so that `--help` lists them and yargs knows their kinds. */
export function declareSettings(parser: Argv, table: SettingTable): Argv {
  for (const entry of Object.values(table)) {
    if (!isSetting(entry) || entry.flag === undefined) continue;
    const describe = describeFlag(entry);
    if (entry.kind === 'boolean') parser.option(entry.flag, { type: 'boolean', describe });
    else parser.option(entry.flag, { type: 'string', requiresArg: true, describe });
  }
  return parser;
}
