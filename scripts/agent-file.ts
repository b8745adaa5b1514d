/** Prints the agent's configuration file of a node that is installed without pods. */
import { agentFile } from './manifests/agent-file.ts';

process.stdout.write(agentFile());
