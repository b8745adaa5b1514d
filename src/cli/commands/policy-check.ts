/** `weft policy check`: verdicts of policies in files, before anybody applies them. */
import type { Command } from '../command.ts';
import type { Declaration } from '../declaration.ts';
import { textFlags } from '../question.ts';

const EPILOGUE = `Judges NetworkPolicies and ClusterNetworkPolicies from files alone:
no agent and no cluster is asked. What kubectl prints will do:
  kubectl get pods,ns,no,svc,endpointslices,netpol -A -o json >DIR/all.json

A connection is "shop/cart -> shop/db:5432/tcp"; instead of a pod it can name node/NAME or an
address, and end in /udp, /sctp or /icmp. To a Service (namespace/name where no pod is called so, or
its clusterIP) it is judged at each endpoint where it may go, as policies see it there: denied at
some of them it is neither allowed nor denied. A line of --probes is
  {"from":"shop/cart","to":"shop/db","protocol":"TCP","port":5432}
with "allowed":true or false where an answer is expected, "family":6 for IPv6. Answers come in the
same order. Without a question the command prints who may connect to whom, at the ports that
containers declare (TCP 80 of a pod without any) and those that policies name for it.

Exit codes: 0 all as expected and nothing differs, 1 not as expected or something differs,
2 a probe names nobody, or files or command line are wrong.`;

export const policyCheckCommand: Command = {
  name: 'policy check',
  describe: 'Tell what policies in files would allow, before they are applied',
  answersWithOne: true,
  declare,
  run: async (flags, effects) =>
    (await import('../policy/check.ts')).runPolicyCheck(flags, effects),
};

function declare(declaration: Declaration): Declaration {
  const text = textFlags(declaration);
  declaration.usage('weft policy check --manifests DIR [flags]').epilogue(EPILOGUE);
  text('manifests', 'Directory of YAML or JSON files with pods, namespaces, nodes, policies');
  text('probe', 'A connection that should be allowed; may be given several times');
  text('denied', 'A connection that should be denied; may be given several times');
  text('probes', 'File of JSON lines with connections; - is standard input');
  text('against', 'Directory with the state before: print the verdicts that differ');
  declaration.option('matrix', {
    type: 'boolean',
    describe: 'Print who may connect to each pod and port',
  });
  text('output', 'text or json (one line each) [default: text]');
  return declaration;
}
