/** `weft cleanup`: removes what weft left in the kernel and on disk. */

import {
  CLEANED_COMPONENTS,
  type CleanedComponent,
  type CleanupReport,
} from '../../agent/cleanup/leftover.ts';
import { DEFAULT_CNI, DEFAULT_STATE_DIR } from '../../agent/config/default-directories.ts';
import { lastText } from '../../agent/config/flag-text.ts';
import type { FlagValues } from '../../agent/config/kube-proxy-flags.ts';
import { prettyJson } from '../../util/json.ts';
import type { Command } from '../command.ts';
import type { Declaration } from '../declaration.ts';
import type { CommandEffects } from '../effects.ts';
import { declareOutput, wantsJson } from '../output-flag.ts';
import { directoryOf, runDirOf, textFlags } from '../question.ts';
import { UsageError } from '../usage.ts';
import { servedComponents } from './status.ts';

const EPILOGUE = `Removes weft's nftables tables, the chains of Services in iptables if an agent of this run
directory made them, the network configuration that an agent wrote, its files in the run directory and
the last known objects, the routes and the tunnel to other nodes, and prints each thing it removed. What
living pods need stays, with their names: host ports, masquerade, checks of senders, ways to other nodes;
so do Services where no other proxy has rules. Other programs' rules are not touched, and neither are
pods' links and addresses (with --all sysctls get the values from before): they go with the runtime's DEL. Stop the agent before: beside one it is
refused, because the agent would put everything back; --dry-run says so. A component that the agent does
not have is taken out beside it.`;

export const cleanupCommand: Command = {
  name: 'cleanup',
  describe: 'Remove what weft left in the kernel and on disk',
  declare,
  run: async (flags, effects) => {
    await runCleanup(flags, componentsOf(flags), effects);
    return 0;
  },
};

function declare(declaration: Declaration): Declaration {
  const text = textFlags(declaration);
  declaration.usage('weft cleanup [flags]').epilogue(EPILOGUE);
  declareOutput(declaration);
  text('component', 'What to take out: cni, proxy, fabric or policy [default: all four]');
  text('run-dir', 'Where records are [default: $WEFT_RUN_DIR, else /run/weft]');
  text('state-dir', 'Where the last known objects are [default: /var/lib/weft]');
  text('cni-conf-dir', 'Where our network configuration is [default: /etc/cni/net.d]');
  declaration.option('all', {
    type: 'boolean',
    describe: 'Also the bridge and directories, once nothing is in them',
  });
  declaration.option('dry-run', {
    type: 'boolean',
    describe: 'Only print what would become of what',
  });
  return declaration.option('force', {
    type: 'boolean',
    describe: 'Also what living pods need, and Services that nobody else serves',
  });
}

/** Prints each thing that is removed, kept or left. */
export async function runCleanup(
  flags: FlagValues,
  components: readonly CleanedComponent[],
  effects: CommandEffects,
): Promise<void> {
  const { cleanup, print } = effects;
  const runDir = runDirOf(flags, effects);
  const isJson = wantsJson(flags);
  const isDryRun = flags['dry-run'] === true;
  const report = await cleanup({
    runDir,
    served: await servedComponents(runDir, effects),
    stateDir: directoryOf(flags, 'state-dir') ?? DEFAULT_STATE_DIR,
    confDirectory: directoryOf(flags, 'cni-conf-dir') ?? DEFAULT_CNI.confDirectory,
    components,
    isWhole: flags['all'] === true,
    isDryRun,
    isForced: flags['force'] === true,
  });
  if (isJson) print(prettyJson({ isDryRun, ...report }));
  else tell(report, isDryRun, print);
}

function tell(
  { refusal, removed, kept, left = [] }: CleanupReport,
  isDryRun: boolean,
  print: (text: string) => void,
): void {
  if (refusal !== undefined) {
    print(`would be refused: ${refusal}\nonce that is done, this is what would be:\n`);
  }
  for (const what of removed) print(`${isDryRun ? 'would remove' : 'removed'} ${what}\n`);
  for (const what of kept) print(`${isDryRun ? 'would keep' : 'kept'} ${what}\n`);
  for (const what of left) print(`${isDryRun ? 'would leave' : 'left'} ${what}\n`);
  if (kept.length > 0) print('what is kept is in use; --force removes it all the same\n');
  if (removed.length + kept.length === 0) print('nothing of weft is left on this node\n');
}

function componentsOf(flags: FlagValues): readonly CleanedComponent[] {
  const component = lastText(flags['component']);
  if (component === undefined) return CLEANED_COMPONENTS;
  if (flags['all'] === true)
    throw new UsageError('--all is every component: leave out --component');
  const found = CLEANED_COMPONENTS.find((name) => name === component);
  if (found !== undefined) return [found];
  throw new UsageError(`--component: expected cni, proxy, fabric or policy, found "${component}"`);
}
