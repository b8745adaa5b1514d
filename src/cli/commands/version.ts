/** `weft version` */
import type { Command } from '../command.ts';

export const versionCommand: Command = {
  name: 'version',
  describe: 'Print the version',
  declare: (parser) =>
    parser
      .usage('weft version')
      .epilogue('Prints the version of weft and of the Node that runs it. There are no flags.'),
  run: async (_flags, { print, version }) => {
    print(`${version}\n`);
    return 0;
  },
};
