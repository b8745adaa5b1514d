import type { Argv } from 'yargs';
import { POLICY_CHECK_EPILOGUE } from './help-text.ts';

/** The flags of `weft policy check`. */
export function declarePolicyCheckFlags(parser: Argv): Argv {
  const text = (name: string, describe: string) =>
    parser.option(name, { type: 'string', requiresArg: true, describe });
  parser.usage('weft policy check --manifests DIR [flags]').epilogue(POLICY_CHECK_EPILOGUE);
  text('manifests', 'Directory of YAML or JSON files with pods, namespaces, nodes, policies');
  text('probe', 'A connection that should be allowed; may be given several times');
  text('denied', 'A connection that should be denied; may be given several times');
  text('probes', 'File of JSON lines with connections; - is standard input');
  text('against', 'Directory with the state before: print the verdicts that differ');
  parser.option('matrix', {
    type: 'boolean',
    describe: 'Print who may connect to each pod and port',
  });
  text('output', 'text or json (one line each) [default: text]');
  return parser;
}
