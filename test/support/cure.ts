/** Runs what doctor and explain say cures a fault, as a person would copy it from the screen. */
import type { TestNetns } from './netns.ts';

/** Programs that a cure may begin with; what follows the command are words. */
const COMMAND =
  /^(?:modprobe [\w-]+; )?((?:sysctl -w [\w./-]+=\d+)|(?:ip6?tables(?:-legacy|-nft)? -[PD] [^,;]+)|(?:ip link set \S+ mtu \d+)|(?:nft delete rule [^,;]+))/;

/** Runs the command that a cure begins with in the node's namespace. Throws where it begins with none. */
export function runCure(node: TestNetns, cure: string): void {
  const [, command] = COMMAND.exec(cure) ?? [];
  if (command === undefined) throw new Error(`no command to run: ${cure}`);
  node.run('sh', '-ec', command);
}
