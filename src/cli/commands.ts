/** The commands of `weft`: what each is for, and its flags. */
import type { Argv } from 'yargs';
import { AGENT_SETTINGS } from '../agent/config/agent-settings.ts';
import { declareKubeProxyFlags } from '../agent/config/kube-proxy-flags.ts';
import { KUBE_PROXY_SETTINGS } from '../agent/config/kube-proxy-settings.ts';
import { OWN_SETTINGS } from '../agent/config/own-settings.ts';
import { AGENT_EPILOGUE, CLEANUP_EPILOGUE, INSTALL_EPILOGUE, PROXY_EPILOGUE } from './help-text.ts';
import { declarePolicyCheckFlags } from './policy-check-flags.ts';
import {
  declarePolicyDeniedFlags,
  declarePolicyListFlags,
  declarePolicyPodFlags,
} from './policy-flags.ts';
import { declareDiffFlags, declareExplainFlags, declareStatusFlags } from './question-flags.ts';
import { declareSettings } from './setting-flags.ts';

export type CommandWithFlags =
  | 'agent'
  | 'proxy'
  | 'status'
  | 'explain'
  | 'diff'
  | 'policy check'
  | 'policy list'
  | 'policy pod'
  | 'policy denied'
  | 'cleanup'
  | 'install';

export interface Command {
  readonly name: CommandWithFlags | 'version';
  readonly describe: string;
  /** A word that it takes besides flags; it is given as a flag of this name. */
  readonly argument?: string;
  readonly declare: (parser: Argv) => Argv;
}

export const COMMANDS: readonly Command[] = [
  { name: 'agent', describe: 'Run the node agent', declare: declareAgentFlags },
  {
    name: 'proxy',
    describe: "Run only the Service proxy, with kube-proxy's flags and file",
    declare: declareProxyFlags,
  },
  {
    name: 'status',
    describe: 'Tell how the agent of this node is',
    declare: declareStatusFlags,
  },
  {
    name: 'explain',
    describe: 'Tell what becomes of a connection to a Service, and why',
    declare: declareExplainFlags,
  },
  {
    name: 'diff',
    describe: 'Tell what the agent would change in the kernel now',
    declare: declareDiffFlags,
  },
  {
    name: 'policy check',
    describe: 'Tell what policies in files would allow, before they are applied',
    declare: declarePolicyCheckFlags,
  },
  {
    name: 'policy list',
    describe: 'Tell which policies the agent of this node enforces',
    declare: declarePolicyListFlags,
  },
  {
    name: 'policy pod',
    describe: 'Tell what policies allow and deny one pod',
    argument: 'NAME',
    declare: declarePolicyPodFlags,
  },
  {
    name: 'policy denied',
    describe: 'Tell which connections policies have denied on this node',
    declare: declarePolicyDeniedFlags,
  },
  {
    name: 'cleanup',
    describe: 'Remove what weft left in the kernel and on disk',
    declare: declareCleanupFlags,
  },
  {
    name: 'install',
    describe: 'Answer under the names of the reference CNI plugins',
    declare: declareInstallFlags,
  },
  { name: 'version', describe: 'Print the version', declare: declareVersion },
];

/** All commands, without `weft` before them. */
export const COMMAND_NAMES = COMMANDS.map((command) => command.name);

function declareVersion(parser: Argv): Argv {
  return parser
    .usage('weft version')
    .epilogue('Prints the version of weft and of the Node that runs it. There are no flags.');
}

function declareAgentFlags(parser: Argv): Argv {
  parser.usage('weft agent [flags]').epilogue(AGENT_EPILOGUE).option('config', {
    type: 'string',
    requiresArg: true,
    describe: 'YAML file with these settings and those of the components, or a directory of such',
  });
  parser.option('init-only', {
    type: 'boolean',
    describe: 'Do what needs full privileges (sysctls), then exit',
  });
  return declareSettings(parser, { ...AGENT_SETTINGS, mode: KUBE_PROXY_SETTINGS.mode });
}

function declareProxyFlags(parser: Argv): Argv {
  declareKubeProxyFlags(parser.usage('weft proxy [flags]').epilogue(PROXY_EPILOGUE));
  declareSettings(parser, { runDir: AGENT_SETTINGS.runDir, ...OWN_SETTINGS });
  return parser.option('version', { type: 'boolean', describe: 'Print the version and exit' });
}

function declareCleanupFlags(parser: Argv): Argv {
  const text = (name: string, describe: string) =>
    parser.option(name, { type: 'string', requiresArg: true, describe });
  parser.usage('weft cleanup [flags]').epilogue(CLEANUP_EPILOGUE);
  text('component', 'What to take out: cni, proxy, fabric or policy [default: all four]');
  text('run-dir', 'Where records are [default: $WEFT_RUN_DIR, else /run/weft]');
  text('state-dir', 'Where the last known objects are [default: /var/lib/weft]');
  text('cni-conf-dir', 'Where our network configuration is [default: /etc/cni/net.d]');
  parser.option('all', {
    type: 'boolean',
    describe: 'Also the bridge and directories, once nothing is in them',
  });
  parser.option('dry-run', { type: 'boolean', describe: 'Only print what would become of what' });
  return parser.option('force', {
    type: 'boolean',
    describe: 'Also what living pods need, and Services that nobody else serves',
  });
}

function declareInstallFlags(parser: Argv): Argv {
  return parser
    .usage('weft install --drop-in [flags]')
    .epilogue(INSTALL_EPILOGUE)
    .option('drop-in', { type: 'boolean', describe: 'Take the names of the reference plugins' })
    .option('undo', { type: 'boolean', describe: 'Put the reference plugins back' })
    .option('dry-run', { type: 'boolean', describe: 'Only print what would become of each name' })
    .option('cni-bin', {
      type: 'string',
      requiresArg: true,
      describe: 'Where the runtime looks for plugins [default: /opt/cni/bin]',
    })
    .option('cni-conf-dir', {
      type: 'string',
      requiresArg: true,
      describe: 'The network configurations that must go on working [default: /etc/cni/net.d]',
    });
}
