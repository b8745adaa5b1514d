/** `weft doctor`: what of this node keeps pods and Services from working, and what cures it. */

import { findingsText } from '../../agent/checks/findings-text.ts';
import type { FlagValues } from '../../agent/config/kube-proxy-flags.ts';
import { type Findings, isFailingTraffic } from '../../agent/status/finding.ts';
import { IoError } from '../../util/errors.ts';
import { prettyJson } from '../../util/json.ts';
import type { Command } from '../command.ts';
import type { Declaration } from '../declaration.ts';
import type { CommandEffects } from '../effects.ts';
import { wantsJson } from '../output-flag.ts';
import { ask, declareRunDir, type QuestionEffects, runDirOf, textFlags } from '../question.ts';

type DoctorEffects = QuestionEffects & Pick<CommandEffects, 'checkWithoutAgent' | 'isTerminal'>;

const EPILOGUE = `Looks at the node now: sysctls, rules of others that drop or rewrite packets of
pods, the table of connections, limits, MTUs and routes, networks of pods and Services, ports, other
programs of the kind, disks, the runtime's configuration and the API server. Of each check it tells
what was seen, why it matters, and the command or setting that cures it; those that are well only with
--all. A check whose facts cannot be read is unknown, never ok.

Without an agent the node alone is checked, and the answer says so. The agent looks by itself once a
minute (checkIntervalSeconds): weft status, the metric weft_check_ok and Events of the Node tell of it.

Exit codes: 0 nothing is failing, 1 something that concerns traffic is, 2 it could not be checked.

Examples:
  weft doctor
  weft doctor --all
  weft doctor --output json`;

export const doctorCommand: Command = {
  name: 'doctor',
  describe: 'Check this node: what is wrong, why it matters, what cures it',
  answersWithOne: true,
  declare,
  run: runDoctor,
};

function declare(declaration: Declaration): Declaration {
  declaration
    .usage('weft doctor [flags]')
    .epilogue(EPILOGUE)
    .option('all', { type: 'boolean', describe: 'Also the checks that are well' });
  textFlags(declaration)('output', 'text or json [default: text]');
  return declareRunDir(declaration);
}

/** Prints what is found; 1 when something that concerns traffic is failing. */
async function runDoctor(flags: FlagValues, effects: DoctorEffects): Promise<number> {
  const isJson = wantsJson(flags);
  const { findings, withoutAgent } = await lookNow(flags, effects);
  const options = { hasColors: effects.isTerminal, isWhole: flags['all'] === true, withoutAgent };
  const isAsked = withoutAgent === undefined;
  effects.print(isJson ? prettyJson({ ...findings, isAsked }) : findingsText(findings, options));
  return findings.findings.some(isFailingTraffic) ? 1 : 0;
}

async function lookNow(flags: FlagValues, effects: DoctorEffects) {
  try {
    // The agent answers a request of this command with this shape.
    const findings = (await ask(flags, { command: 'doctor' }, effects)) as Findings;
    return { findings, withoutAgent: undefined };
  } catch (thrown) {
    if (!(thrown instanceof IoError)) throw thrown;
    const findings = await effects.checkWithoutAgent(runDirOf(flags, effects));
    return { findings, withoutAgent: thrown.message };
  }
}
