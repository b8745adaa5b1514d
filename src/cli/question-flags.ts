/** The flags of the commands that ask the running agent. */
import type { Argv } from 'yargs';
import { DIFF_EPILOGUE, EXPLAIN_EPILOGUE, STATUS_EPILOGUE } from './help-text.ts';

export const RUN_DIR = 'Where the agent is [default: $WEFT_RUN_DIR, else /run/weft]';

export function declareExplainFlags(parser: Argv): Argv {
  const text = (name: string, describe: string) =>
    parser.option(name, { type: 'string', requiresArg: true, describe });
  parser
    .usage('weft explain --from IP|POD --to IP|SERVICE|POD:PORT [flags]')
    .epilogue(EXPLAIN_EPILOGUE)
    .option('json', { type: 'boolean', describe: 'Print the whole answer as JSON' })
    .option('live', { type: 'boolean', describe: 'Wait for such a packet and tell where it went' });
  text('from', 'Address of the client, NAMESPACE/POD or node/NAME');
  text('to', 'Address and port, [fd00::1]:80 for IPv6, or NAMESPACE/NAME:PORT');
  text('proto', 'tcp, udp or sctp [default: tcp]');
  text('in-interface', 'Interface it comes in by [default: the one its route leads to]');
  text('timeout', 'How long --live waits, up to 60s [default: 10s]');
  text('run-dir', RUN_DIR);
  return parser;
}

export function declareDiffFlags(parser: Argv): Argv {
  return parser
    .usage('weft diff [flags]')
    .epilogue(DIFF_EPILOGUE)
    .option('json', { type: 'boolean', describe: 'Print the differences as JSON' })
    .option('run-dir', { type: 'string', requiresArg: true, describe: RUN_DIR });
}

export function declareStatusFlags(parser: Argv): Argv {
  const text = (name: string, describe: string) =>
    parser.option(name, { type: 'string', requiresArg: true, describe });
  parser.usage('weft status [flags]').epilogue(STATUS_EPILOGUE);
  text('output', 'text or json [default: text]');
  parser.option('json', { type: 'boolean', describe: 'The same as --output json' });
  text('run-dir', RUN_DIR);
  return parser;
}
