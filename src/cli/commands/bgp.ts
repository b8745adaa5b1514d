/** `weft bgp`: sessions and routes of this node. */

import { lastText } from '../../agent/config/flag-text.ts';
import type { FlagValues } from '../../agent/config/kube-proxy-flags.ts';
import { answerAddress } from '../../agent/debug/bgp-address.ts';
import { bgpText } from '../../agent/debug/bgp-text.ts';
import type { RoutingStatus } from '../../agent/status/routing-status.ts';
import { parseIP } from '../../net/ip.ts';
import { prettyJson } from '../../util/json.ts';
import type { Command } from '../command.ts';
import { declareOutput, wantsJson } from '../output-flag.ts';
import { ask, declareRunDir, plain, type QuestionEffects, textFlags } from '../question.ts';

const EPILOGUE = `Asks the running agent, and it BIRD: whom this node talks BGP to and how far that is, which networks
of the node are told, and why one is not. IN and OUT count routes. Lines with ! tell what is wrong.

With --address: who is told of that address by this node, or why nobody is.

Exit codes: 0 nothing is wrong (the address is told), 1 something is, 2 failure or wrong command line.

Examples:
  weft bgp
  weft bgp --address 198.51.100.7
  weft bgp --output json`;

export const bgpCommand: Command = {
  name: 'bgp',
  describe: 'Tell the BGP sessions and routes of this node',
  answersWithOne: true,
  declare: (declaration) => {
    declareRunDir(declareOutput(declaration.usage('weft bgp [flags]').epilogue(EPILOGUE)));
    return textFlags(declaration)('address', 'Tell of this address alone');
  },
  run: runBgp,
};

/** Prints how BGP is; 1 when something is wrong. Throws RangeError for an address that is none. */
async function runBgp(flags: FlagValues, effects: QuestionEffects): Promise<number> {
  const isJson = wantsJson(flags);
  const address = lastText(flags['address']);
  const ip = address === undefined ? undefined : parseIP(address);
  // The agent answers a request of this command with this shape.
  const answer = (await ask(flags, { command: 'bgp' }, effects)) as RoutingStatus;
  if (ip !== undefined) {
    const told = answerAddress(answer, ip);
    effects.print(isJson ? prettyJson(told) : plain(`${told.text}\n`));
    return told.isTold ? 0 : 1;
  }
  effects.print(isJson ? prettyJson(answer) : plain(bgpText(answer)));
  return answer.problems.length === 0 ? 0 : 1;
}
