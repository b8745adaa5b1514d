/** `weft version` */
import { prettyJson } from '../../util/json.ts';
import type { Command } from '../command.ts';
import { declareOutput, wantsJson } from '../output-flag.ts';

export const versionCommand: Command = {
  name: 'version',
  describe: 'Print the version',
  declare: (declaration) =>
    declareOutput(
      declaration
        .usage('weft version [flags]')
        .epilogue('Prints the version of weft and of the Node that runs it.'),
    ),
  run: async (flags, { print, versions }) => {
    const { weft, node } = versions;
    print(wantsJson(flags) ? prettyJson(versions) : `weft ${weft} (node ${node})\n`);
    return 0;
  },
};
