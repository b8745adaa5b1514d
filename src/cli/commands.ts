/** The commands of `weft`, in the order of its help. */
import type { Command } from './command.ts';
import { agentCommand } from './commands/agent.ts';
import { bgpCommand } from './commands/bgp.ts';
import { cleanupCommand } from './commands/cleanup.ts';
import { completionCommand } from './commands/completion.ts';
import { connectivityTestCommand } from './commands/connectivity-test.ts';
import { diffCommand } from './commands/diff.ts';
import { doctorCommand } from './commands/doctor.ts';
import { endpointsCommand } from './commands/endpoints.ts';
import { explainCommand } from './commands/explain.ts';
import { flowsCommand } from './commands/flows.ts';
import { installCommand } from './commands/install.ts';
import { ipsCommand } from './commands/ips.ts';
import { nodesCommand } from './commands/nodes.ts';
import { podsCommand } from './commands/pods.ts';
import { policyCheckCommand } from './commands/policy-check.ts';
import { policyDeniedCommand } from './commands/policy-denied.ts';
import { policyListCommand } from './commands/policy-list.ts';
import { policyPodCommand } from './commands/policy-pod.ts';
import { proxyCommand } from './commands/proxy.ts';
import { servicesCommand } from './commands/services.ts';
import { statusCommand } from './commands/status.ts';
import { sysdumpCommand } from './commands/sysdump.ts';
import { uiCommand } from './commands/ui.ts';
import { versionCommand } from './commands/version.ts';

export const COMMANDS: readonly Command[] = [
  agentCommand,
  proxyCommand,
  statusCommand,
  doctorCommand,
  podsCommand,
  servicesCommand,
  endpointsCommand,
  nodesCommand,
  ipsCommand,
  explainCommand,
  connectivityTestCommand,
  diffCommand,
  flowsCommand,
  uiCommand,
  policyCheckCommand,
  policyListCommand,
  policyPodCommand,
  policyDeniedCommand,
  bgpCommand,
  sysdumpCommand,
  cleanupCommand,
  installCommand,
  completionCommand(() => COMMANDS),
  versionCommand,
];

/** All commands, without `weft` before them. */
export const COMMAND_NAMES = COMMANDS.map((command) => command.name);
