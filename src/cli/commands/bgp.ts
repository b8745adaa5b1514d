/** `weft bgp`: sessions and routes of this node. */
import type { FlagValues } from '../../agent/config/kube-proxy-flags.ts';
import { bgpText } from '../../agent/debug/bgp-text.ts';
import type { RoutingStatus } from '../../agent/status/routing-status.ts';
import type { Command } from '../command.ts';
import { declareOutput, wantsJson } from '../output-flag.ts';
import { ask, declareRunDir, plain, prettyJson, type QuestionEffects } from '../question.ts';

const EPILOGUE = `Asks the running agent, and it BIRD: whom this node talks BGP to and how far that is, which networks
of the node are told, and why one is not. IN and OUT count routes. Lines with ! tell what is wrong.

Exit codes: 0 nothing is wrong, 1 something is, 2 failure or wrong command line.

Examples:
  weft bgp
  weft bgp --output json`;

export const bgpCommand: Command = {
  name: 'bgp',
  describe: 'Tell the BGP sessions and routes of this node',
  answersWithOne: true,
  declare: (declaration) =>
    declareRunDir(declareOutput(declaration.usage('weft bgp [flags]').epilogue(EPILOGUE))),
  run: runBgp,
};

/** Prints how BGP is; 1 when something is wrong. */
export async function runBgp(flags: FlagValues, effects: QuestionEffects): Promise<number> {
  const isJson = wantsJson(flags);
  // The agent answers a request of this command with this shape.
  const answer = (await ask(flags, { command: 'bgp' }, effects)) as RoutingStatus;
  effects.print(isJson ? prettyJson(answer) : plain(bgpText(answer)));
  return answer.problems.length === 0 ? 0 : 1;
}
