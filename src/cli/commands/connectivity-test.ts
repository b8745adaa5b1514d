/** `weft connectivity-test`: whether packets get where they should, tried from pods of this node. */
import type { Command } from '../command.ts';
import { DEFAULT_COMMAND, DEFAULT_IMAGE } from '../connectivity/defaults.ts';
import type { Declaration } from '../declaration.ts';
import { declareOutputAndJson } from '../output-flag.ts';
import { declareRunDir, textFlags } from '../question.ts';

const EPILOGUE = `Tries connections from a pod of this node: to a pod of this node and of others, to a Service, a NodePort
and a host port, to the DNS of the cluster and to the outside, with packets as large as pods send them,
over IPv4 and IPv6. Each is one packet that the agent sends and follows, as weft explain --live --send does;
of one that fails it says where the packet ended, and why.

With --kubeconfig it makes a namespace with pods and a Service of its own, also on other nodes, and tries
policies too; all of it is removed again, also when it is interrupted. Without it pods and Services that are
there are used, and nothing is made.

The exit code is 0 when all is as it should be, 1 when something is not, 2 when it could not be tried.

Examples:
  weft connectivity-test
  weft connectivity-test --kubeconfig /etc/kubernetes/admin.conf
  weft connectivity-test --kubeconfig admin.conf --outside 1.1.1.1:443
  weft connectivity-test --kubeconfig admin.conf --image my/busybox:1`;

export const connectivityTestCommand: Command = {
  name: 'connectivity-test',
  describe: 'Try whether packets get where they should, from pods of this node',
  answersWithOne: true,
  declare,
  run: async (flags, effects) =>
    (await import('../connectivity/run.ts')).runConnectivityTest(flags, effects),
};

function declare(declaration: Declaration): Declaration {
  const text = textFlags(declaration);
  declaration.usage('weft connectivity-test [flags]').epilogue(EPILOGUE);
  text('kubeconfig', 'Make pods through this API server [default: use what is there]');
  text('image', `Of these pods [default: ${DEFAULT_IMAGE}]`);
  text('server-command', `Serves TCP at port 8080 in it [default: ${DEFAULT_COMMAND}]`);
  text('nodes', 'How many other nodes get a pod [default: 3]');
  text('outside', 'ADDRESS:PORT outside of the cluster, several with commas');
  text('timeout', 'How long pods may take to start, up to 10m [default: 2m]');
  declareOutputAndJson(declaration);
  return declareRunDir(declaration);
}
