/** policy-add.ts RUN_DIR ID NETNS CONFIG: one ADD on a node where policies are enforced, by a process that may be killed. */
import { runVerb } from '../../../src/cni/call.ts';
import { openLocalNode } from '../../../src/cni/local-node.ts';

const [runDirectory = '', id = '', netns = '', config = ''] = process.argv.slice(2);
const local = openLocalNode({ runDirectory, isLongLived: false, version: 'test' });
const node = { ...local, policies: { admit: () => undefined, check: () => undefined } };
const env = {
  ...{ CNI_COMMAND: 'ADD', CNI_CONTAINERID: id, CNI_NETNS: netns, CNI_IFNAME: 'eth0' },
  CNI_PATH: '/usr/lib/cni',
};
const { exitCode, stdout } = runVerb({ env, readStdin: () => Buffer.from(config) }, node);
process.stdout.write(stdout);
process.exitCode = exitCode;
