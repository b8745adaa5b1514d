/** `type: weft`: a main plugin and the whole chain behind it in one execution. */
import { failuresOf, joinErrors, runAll } from '../../util/errors.ts';
import type { ChainMember, DelCall, Plugin } from '../plugin.ts';
import { isJsonObject, memberOf } from '../protocol/json.ts';
import { requirePreviousResult } from '../protocol/previous-result.ts';
import type { Request } from '../protocol/request.ts';

/**
 * `main` makes the interface, then each member the configuration asks for adds to it, in order. DEL
 * goes the other way and asks every member, because the configuration may have changed since ADD; the
 * interface and its addresses go last, whatever happened to the members.
 */
export function wholeChain(name: string, main: Plugin, members: readonly ChainMember[]): Plugin {
  const wanted = (request: Request) => members.filter((member) => member.isWanted(request));
  const backwards = members.toReversed();
  return {
    name,
    add: (call, undo) => {
      const chain = wanted(call.request);
      const made = main.add(call, undo);
      return chain.reduce((previous, member) => member.add(call, previous, undo), made);
    },
    del: (call) => {
      runAll(
        [...backwards, main].map((part) => () => part.del(call)),
        incomplete('DEL'),
      );
    },
    delMany: (calls) => deleteMany(calls, main, backwards),
    check: (call) => {
      const chain = wanted(call.request);
      const previous = requirePreviousResult(call.request);
      main.check(call);
      for (const member of chain) member.check(call, previous);
    },
    checkConfig: (request) => {
      main.checkConfig?.(request);
      wanted(request);
    },
    status: (call) => {
      main.status(call);
      for (const member of members) {
        if (isInUse(member, call.request)) member.status?.(call);
      }
    },
    gc: (call) => {
      runAll(
        [...backwards, main].map((part) => () => part.gc(call)),
        incomplete('GC'),
      );
    },
  };
}

function deleteMany(
  calls: readonly DelCall[],
  main: Plugin,
  members: readonly ChainMember[],
): readonly (Error | undefined)[] {
  const outcomes = [...members, main].map((part) => deleteEach(part, calls));
  return calls.map((_call, index) => {
    const errors = outcomes.flatMap((ofPart) => ofPart[index] ?? []);
    return joinErrors(errors, incomplete('DEL'));
  });
}

/** `delMany` of a plugin or member, one by one when it has none. */
export function deleteEach(
  part: Pick<Plugin, 'del' | 'delMany'>,
  calls: readonly DelCall[],
): readonly (Error | undefined)[] {
  if (part.delMany !== undefined && calls.length > 1) return part.delMany(calls);
  return calls.map((call) => failuresOf([() => part.del(call)])[0]);
}

/**
 * Whether a pod of this network can need the member: a runtime sends nothing for a capability that
 * the configuration does not declare. Without any declaration nothing is known.
 */
function isInUse({ capability }: ChainMember, request: Request): boolean {
  const capabilities = memberOf(request.config, 'capabilities');
  if (capability === undefined || !isJsonObject(capabilities)) return true;
  return memberOf(capabilities, capability) === true;
}

function incomplete(verb: string): string {
  return `${verb} was not complete`;
}
