/** `weft sysdump`: what is known of this node, in one file to be given to somebody. */

import { DEFAULT_CNI } from '../../agent/config/default-directories.ts';
import { lastText } from '../../agent/config/flag-text.ts';
import type { FlagValues } from '../../agent/config/kube-proxy-flags.ts';
import type { PieceOutcome } from '../../agent/sysdump/piece.ts';
import { tableLines } from '../../util/text-layout.ts';
import type { Command } from '../command.ts';
import type { CommandEffects } from '../effects.ts';
import { declareRunDir, directoryOf, plain, runDirOf, textFlags } from '../question.ts';

const EPILOGUE = `Writes a support bundle: status and checks, pods, Services, endpoints, nodes, addresses, policies,
connections, settings and the last lines of the log as the agent tells them; rules, links, routes, neighbours,
sysctls, counters of the kernel, network configurations and versions as the node has them. It works without
an agent too. index.json tells what became of each piece; one that cannot be had does not end the others.

Passwords, tokens and private keys are masked wherever they look like some; names and addresses of pods and
nodes are in it. Look at it before you give it away. Only its owner can read the file.

Examples:
  weft sysdump
  weft sysdump --output-file /tmp/node-a.tar.gz`;

export const sysdumpCommand: Command = {
  name: 'sysdump',
  describe: 'Write a support bundle: all that is known of this node, without secrets',
  declare: (declaration) => {
    declaration.usage('weft sysdump [flags]').epilogue(EPILOGUE);
    const text = textFlags(declaration);
    text('output-file', 'A new file [default: weft-sysdump-NODE-TIME.tar.gz here]');
    text('cni-conf-dir', 'Where network configurations are [default: /etc/cni/net.d]');
    return declareRunDir(declaration);
  },
  run: runSysdump,
};

async function runSysdump(flags: FlagValues, effects: CommandEffects): Promise<number> {
  const { clock, surroundings, versions, askAgent } = effects;
  const runDir = runDirOf(flags, effects);
  const time = new Date(clock.now()).toISOString().slice(0, 19).replaceAll(/[-:]/g, '');
  const directory = `weft-sysdump-${fileName(surroundings.hostname)}-${time}Z`;
  const path = lastText(flags['output-file']) ?? `${directory}.tar.gz`;
  const outcomes = await effects.sysdump({
    ...{ path, directory, runDir, versions },
    cniConfDir: directoryOf(flags, 'cni-conf-dir') ?? DEFAULT_CNI.confDirectory,
    ask: (request) => askAgent(runDir, request),
    onRecord: {
      diskStatus: () => effects.readDiskStatus(runDir),
      checks: () => effects.checkWithoutAgent(runDir),
      records: () => effects.readNodeRecords(runDir),
    },
  });
  effects.print(plain(outcomeText(outcomes, path)));
  return 0;
}

function fileName(host: string): string {
  return host.replaceAll(/[^\w.-]/g, '_').slice(0, 63);
}

function outcomeText(outcomes: readonly PieceOutcome[], path: string): string {
  const read = outcomes.filter(({ outcome }) => outcome === 'read' || outcome === 'cut');
  const lacking = outcomes.filter(({ outcome }) => outcome === 'failed' || outcome === 'cut');
  const rows = lacking.map(({ name, reason = 'cut: it is long' }) => [name, reason.slice(0, 200)]);
  const table =
    rows.length === 0 ? [] : tableLines([{ title: 'NOT WHOLE' }, { title: 'WHY' }], rows);
  return [...table, `${path}: ${read.length} files`].map((line) => `${line}\n`).join('');
}
