/** The flags of `weft policy list`, `pod` and `denied`. */
import type { Argv } from 'yargs';
import { POLICY_DENIED_EPILOGUE, POLICY_LIST_EPILOGUE, POLICY_POD_EPILOGUE } from './help-text.ts';
import { RUN_DIR } from './question-flags.ts';

export function declarePolicyListFlags(parser: Argv): Argv {
  parser.usage('weft policy list [flags]').epilogue(POLICY_LIST_EPILOGUE);
  parser.option('all', {
    type: 'boolean',
    describe: 'Also policies that select no pod of this node',
  });
  return withOutput(parser);
}

export function declarePolicyPodFlags(parser: Argv): Argv {
  return withOutput(
    parser.usage('weft policy pod NAMESPACE/NAME [flags]').epilogue(POLICY_POD_EPILOGUE),
  );
}

export function declarePolicyDeniedFlags(parser: Argv): Argv {
  parser.usage('weft policy denied [flags]').epilogue(POLICY_DENIED_EPILOGUE);
  parser.option('follow', { type: 'boolean', describe: 'Go on with what is denied from now on' });
  return withOutput(parser);
}

function withOutput(parser: Argv): Argv {
  const text = (name: string, describe: string) =>
    parser.option(name, { type: 'string', requiresArg: true, describe });
  text('output', 'text or json [default: text]');
  return text('run-dir', RUN_DIR);
}
