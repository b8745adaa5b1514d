/** `weft install`: answers under the names of the reference CNI plugins. */

import type { FlagValues } from '../../agent/config/kube-proxy-flags.ts';
import { stepLines } from '../../agent/drop-in/text.ts';
import { prettyJson } from '../../util/json.ts';
import type { Command } from '../command.ts';
import type { Declaration } from '../declaration.ts';
import type { CommandEffects } from '../effects.ts';
import { declareOutput, wantsJson } from '../output-flag.ts';
import { directoryOf } from '../question.ts';
import { UsageError } from '../usage.ts';

const EPILOGUE = `Makes bridge, host-local, portmap and the other names weft answers to links to weft, so that the
CNI configurations of a node stay as they are. A name whose plugin would refuse what one of them
asks for is not taken, and told with the reason. Originals are kept beside the names as NAME.weft-saved.
Pods that are there already are checked and removed by whichever program holds the name. Doing it
twice changes nothing. Every name is one program or the other at any moment.

Examples:
  weft install --drop-in --dry-run
  weft install --drop-in --cni-bin /usr/lib/cni
  weft install --drop-in --undo`;

export const installCommand: Command = {
  name: 'install',
  describe: 'Answer under the names of the reference CNI plugins',
  declare,
  run: async (flags, effects) => {
    await runInstall(flags, effects);
    return 0;
  },
};

function declare(declaration: Declaration): Declaration {
  return declareOutput(declaration)
    .usage('weft install --drop-in [flags]')
    .epilogue(EPILOGUE)
    .option('drop-in', { type: 'boolean', describe: 'Take the names of the reference plugins' })
    .option('undo', { type: 'boolean', describe: 'Put the reference plugins back' })
    .option('dry-run', { type: 'boolean', describe: 'Only print what would become of each name' })
    .option('cni-bin', {
      type: 'string',
      describe: 'Where the runtime looks for plugins [default: /opt/cni/bin]',
    })
    .option('cni-conf-dir', {
      type: 'string',
      describe: 'The network configurations that must go on working [default: /etc/cni/net.d]',
    });
}

async function runInstall(flags: FlagValues, { dropIn, print }: CommandEffects): Promise<void> {
  if (flags['drop-in'] !== true) {
    throw new UsageError('say what to install: --drop-in; see weft install --help');
  }
  const isJson = wantsJson(flags);
  const isDryRun = flags['dry-run'] === true;
  const steps = await dropIn({
    cniBin: directoryOf(flags, 'cni-bin') ?? '/opt/cni/bin',
    cniConfDir: directoryOf(flags, 'cni-conf-dir') ?? '/etc/cni/net.d',
    isUndo: flags['undo'] === true,
    isDryRun,
  });
  if (isJson) {
    print(prettyJson({ isDryRun, steps }));
    return;
  }
  if (isDryRun) print('nothing is changed; this is what would be:\n');
  for (const line of stepLines(steps, isDryRun)) print(`${line}\n`);
}
