/** Executions of the plugin, one or several at once: which verb, which plugin, what is printed. */
import type { Netns } from '../kernel/types.ts';
import { assertNever, toError } from '../util/errors.ts';
import { mayAskFirewalld } from './firewall/zone.ts';
import { journaled } from './journal.ts';
import { NetnsSource, type PassedNetns, refuseOwnNetns } from './netns-source.ts';
import type { CniNode } from './node.ts';
import { needsOwnProcess } from './own-process.ts';
import type { DelCall, Plugin, PluginCall } from './plugin.ts';
import { deleteEach } from './plugins/weft.ts';
import { claimForDel, type PodClaim } from './pod-lock.ts';
import { CNI_ERROR_CODE, CniError, unsupportedField } from './protocol/errors.ts';
import { RUN_STANDALONE } from './protocol/frame.ts';
import { memberOf } from './protocol/json.ts';
import { type CallSummary, failure, NOTHING, type Outcome } from './protocol/outcome.ts';
import { type Environment, parseCall, parseRequest, type Request } from './protocol/request.ts';
import { formatResult, type Result } from './protocol/result.ts';
import { parseValidAttachments } from './protocol/valid-attachments.ts';
import { SUPPORTED_VERSIONS, versionReply } from './protocol/versions.ts';
import { type Executable, FALLBACK, findExecutable, nameOf } from './registry.ts';
import { type UndoList, withUndo } from './undo.ts';

/** One execution of the plugin. */
export interface Invocation {
  readonly env: Environment;
  /** Called at most once, and not at all for VERSION. */
  readonly readStdin: () => Buffer;
  /** Absent: CNI_NETNS is opened as a path. */
  readonly netns?: PassedNetns;
  /** Whether nobody waits for the answer any more; absent: somebody always does. */
  readonly isCallerGone?: () => boolean;
}

/** Runs any CNI call and never throws: a failure is an error object on stdout and exit code 1. */
export function runVerb(invocation: Invocation, node: CniNode): Outcome {
  const call = new Call(invocation, node);
  call.begin();
  Call.deleteAll([call]);
  return call.outcome;
}

/** The same for several at once. Their DELs go last and together, which costs one wait, not many. */
export function runVerbs(invocations: readonly Invocation[], node: CniNode): readonly Outcome[] {
  const calls = invocations.map((invocation) => new Call(invocation, node));
  for (const call of calls) call.begin();
  Call.deleteAll(calls);
  return calls.map(({ outcome }) => outcome);
}

interface Deletion {
  readonly plugin: Plugin;
  readonly del: DelCall;
  /** Whether an ADD may be at work in the pod that the journal knows of. */
  readonly isOfMain: boolean;
}

/** One call from its environment to its outcome; a DEL stops half-way, so that several can share it. */
class Call {
  #outcome: Outcome = NOTHING;
  /** What is left to do after `begin`. */
  #deletion: Deletion | undefined;
  readonly #invocation: Invocation;
  readonly #node: CniNode;
  readonly #source: NetnsSource;
  #stdin: Buffer | undefined;
  #summary: CallSummary = {};
  #claim: PodClaim | undefined;
  #notes = '';

  constructor(invocation: Invocation, node: CniNode) {
    this.#invocation = invocation;
    this.#node = node;
    const { env, netns } = invocation;
    this.#source = new NetnsSource(node.kernel.netnses, netns, env['CNI_NETNS'] ?? '');
  }

  get outcome(): Outcome {
    return this.#outcome;
  }

  /** All of it but what a DEL removes. */
  begin(): void {
    this.#attempt(() => this.#dispatch());
    if (this.#deletion === undefined) this.#source.close();
  }

  /** What is left of those that are DELs. Never throws: each call ends with its own outcome. */
  static deleteAll(calls: readonly Call[]): void {
    const claimed = new Set<string>();
    const open = calls.flatMap((call) => {
      return call.#deletion === undefined ? [] : [{ call, ...call.#deletion }];
    });
    for (const { call, del, isOfMain } of open) if (isOfMain) call.#lock(del, claimed);
    for (const [plugin, own] of Map.groupBy(open, (each) => each.plugin)) {
      const errors = tryDeleteEach(
        plugin,
        own.map(({ del }) => del),
      );
      for (const [index, { call }] of own.entries()) call.#end(errors[index]);
    }
  }

  /**
   * Before the deletion, of any part of it: what an ADD in the pod makes after a look would stay.
   * `claimed` are namespaces that others of the same batch have.
   */
  #lock(del: DelCall, claimed: Set<string>): void {
    this.#claim = claimForDel(del, claimed);
    this.#notes += this.#claim.note;
  }

  /** After the deletion was tried. */
  #end(error: Error | undefined): void {
    this.#attempt(() => {
      if (error !== undefined) throw error;
      return { ...NOTHING, stderr: this.#notes };
    });
    this.#claim?.end();
    this.#source.close();
  }

  #attempt(step: () => Outcome): void {
    try {
      this.#outcome = { ...step(), summary: this.#summary };
    } catch (thrown) {
      this.#outcome = failure(thrown, this.#stdin, this.#summary);
    }
  }

  #dispatch(): Outcome {
    const { env } = this.#invocation;
    const name = nameOf(env['WEFT_ARGV0']);
    const call = parseCall(env);
    if (call.kind === 'about') return { ...NOTHING, stderr: about(name, this.#node.version) };
    if (call.kind === 'version') return { ...NOTHING, stdout: versionReply() };
    this.#stdin = readStdin(this.#invocation);
    const request = parseRequest(call.command, env, this.#stdin);
    this.#summary = { verb: request.verb, network: request.network };
    const executable = chooseExecutable(name, request);
    this.#summary = { ...this.#summary, plugin: executable.plugin.name };
    if (isForStandalone(executable, request, this.#node)) {
      return { ...NOTHING, exitCode: RUN_STANDALONE };
    }
    return this.#run(executable, request);
  }

  #run(executable: Executable, request: Request): Outcome {
    const { network, containerId, ifName } = request;
    const node = this.#node;
    // What a DEL removes is unwanted in any case; the list of a late GC may miss new pods.
    if (request.verb !== 'DEL') this.#refuseAbandoned();
    const call = { request, node, attachment: { network, containerId, ifName } };
    switch (request.verb) {
      case 'ADD':
        return { ...NOTHING, stdout: this.#add(executable, call) };
      case 'DEL':
        this.#delete(executable, call);
        break;
      case 'CHECK':
        this.#check(executable, call);
        break;
      case 'STATUS':
        executable.plugin.status({ request, node });
        break;
      case 'GC':
        collectGarbage(executable, request, node);
        break;
      default:
        assertNever(request.verb, 'verb');
    }
    return NOTHING;
  }

  /** The text of the result, made inside the undo: a version may have no words for it. */
  #add(executable: Executable, call: PluginCall): string {
    const { request } = call;
    const format = (result: Result): string => {
      this.#refuseAbandoned();
      this.#summary = { ...this.#summary, ips: result.ips.map(({ address }) => address) };
      return formatResult(result, request.cniVersion);
    };
    if (executable.kind === 'ipam') {
      return withUndo((undo) => format(executable.plugin.add(call, undo)));
    }
    const netnsCall = { ...call, netns: this.#podNetns(request) };
    const add = (undo: UndoList) => {
      // An ADD of the same pod may have been waited for.
      this.#refuseAbandoned();
      return format(executable.plugin.add(netnsCall, undo));
    };
    if (executable.kind === 'link') return withUndo(add);
    return journaled(executable.plugin, netnsCall, add);
  }

  #check(executable: Executable, call: PluginCall): void {
    if (executable.kind === 'ipam') executable.plugin.check(call);
    else executable.plugin.check({ ...call, netns: this.#podNetns(call.request) });
  }

  #delete(executable: Executable, call: PluginCall): void {
    if (executable.kind === 'ipam') {
      executable.plugin.del(call);
      return;
    }
    const { netns, note } = this.#source.tryOpen(call.request.netnsPath);
    if (netns !== undefined) this.#refuseOwn(call.request, netns);
    this.#notes = note;
    const { plugin, kind } = executable;
    this.#deletion = { plugin, del: { ...call, netns }, isOfMain: kind === 'main' };
  }

  /**
   * A runtime that has given up takes the pod away, and nobody would ever delete what is made now. Asked
   * before the first change, and before the result while everything can still be taken back.
   */
  #refuseAbandoned(): void {
    if (this.#invocation.isCallerGone?.() !== true) return;
    throw new CniError(CNI_ERROR_CODE.tryAgainLater, 'the caller has given up waiting');
  }

  #podNetns(request: Request): Netns {
    const netns = this.#source.require(request.netnsPath);
    this.#refuseOwn(request, netns);
    return netns;
  }

  #refuseOwn({ mayUseOwnNetns }: Request, netns: Netns): void {
    if (!mayUseOwnNetns) refuseOwnNetns(this.#node.kernel.netnses, netns);
  }
}

/** The same error for each where the plugin could not even begin. */
function tryDeleteEach(plugin: Plugin, dels: readonly DelCall[]): readonly (Error | undefined)[] {
  try {
    return deleteEach(plugin, dels);
  } catch (thrown) {
    const error = toError(thrown);
    return dels.map(() => error);
  }
}

/** A process that serves others too cannot wait for what is executed. */
function isForStandalone({ kind }: Executable, request: Request, node: CniNode): boolean {
  if (kind === 'ipam' || node.foreignIpam?.canExec !== false) return false;
  return needsOwnProcess(request) || mayAskFirewalld(request.config, node);
}

/** DEL and GC of a type that is not ours still remove what is there. */
function chooseExecutable(name: string, request: Request): Executable {
  const type = memberOf(request.config, 'type');
  const found = findExecutable(name, type);
  if (found !== undefined) return found;
  if (request.verb === 'DEL' || request.verb === 'GC') return FALLBACK;
  throw unsupportedField('type', type);
}

/** Without a list from the runtime nothing is known to be invalid (CNI specification, "GC"). */
function collectGarbage({ plugin }: Executable, request: Request, node: CniNode): void {
  const valid = parseValidAttachments(request.config);
  if (valid === undefined) return;
  const containers = new Set(valid.map(({ containerId }) => containerId));
  const attachments = new Set(valid.map(({ containerId, ifName }) => `${containerId}/${ifName}`));
  plugin.gc({
    request,
    node,
    isValid: ({ containerId, ifName }) => attachments.has(`${containerId}/${ifName}`),
    isValidContainer: (containerId) => containers.has(containerId),
  });
}

function readStdin({ readStdin: read }: Invocation): Buffer {
  try {
    return read();
  } catch (cause) {
    const message = `error reading from stdin: ${toError(cause).message}`;
    throw new CniError(CNI_ERROR_CODE.ioFailure, message, undefined, { cause });
  }
}

function about(name: string, version: string): string {
  const versions = SUPPORTED_VERSIONS.join(', ');
  return `CNI ${name} plugin weft v${version}\nCNI protocol versions supported: ${versions}\n`;
}
