/**
 * The two shapes everything the executable can do has: a plugin answers to a name, a chain member
 * is one concern inside a chain, wherever the chain runs (in one exec of `type: weft`, or as a
 * separate plugin under the reference's name).
 */
import type { Netns } from '../kernel/types.ts';
import type { Attachment } from './attachment.ts';
import type { CniNode } from './node.ts';
import type { Request } from './protocol/request.ts';
import type { Result } from './protocol/result.ts';
import type { UndoList } from './undo.ts';

/** One call of a verb on an attachment. */
export interface PluginCall {
  readonly request: Request;
  readonly node: CniNode;
  readonly attachment: Attachment;
}

/** ADD and CHECK always have the pod's namespace. */
export interface NetnsCall extends PluginCall {
  readonly netns: Netns;
}

/** DEL goes on without it when it is gone or was not told. */
export interface DelCall extends PluginCall {
  readonly netns: Netns | undefined;
}

/** GC: what is valid on this network; everything else of it is to be removed. */
export interface GcCall {
  readonly request: Request;
  readonly node: CniNode;
  isValid(attachment: Pick<Attachment, 'containerId' | 'ifName'>): boolean;
  /** Whether any attachment of the container is valid: for reservations that name no interface. */
  isValidContainer(containerId: string): boolean;
}

/** STATUS needs no attachment. */
export interface StatusCall {
  readonly request: Request;
  readonly node: CniNode;
}

export interface Plugin {
  /** The name it is executed under, or its `type` when executed as `weft`. */
  readonly name: string;
  /**
   * Makes the attachment, or adds to the one in prevResult. Steps that succeeded are noted in
   * `undo`, which the caller runs when this or anything later fails. The caller keeps the journal
   * too: it has called `del` for what a killed ADD left.
   */
  add(call: NetnsCall, undo: UndoList): Result;
  /** Removes what is there; nothing being there is success. */
  del(call: DelCall): void;
  /**
   * DEL of several attachments, so that they share one wait of the kernel. A failure of one leaves
   * the others alone: gives what `del` would have thrown, in the order of the calls.
   */
  delMany?(calls: readonly DelCall[]): readonly (Error | undefined)[];
  /** Throws when something this plugin made is missing or wrong. */
  check(call: NetnsCall): void;
  /** Throws CniError 50 when an ADD could not succeed, 51 when pods already there suffer too. */
  status(call: StatusCall): void;
  /** Throws what ADD would for the configuration alone, on any node. Absent: it reads none. */
  checkConfig?(request: Request): void;
  /** Removes what belongs to no valid attachment; goes on after failures and throws them joined. */
  gc(call: GcCall): void;
}

/** Gives addresses to another plugin; never enters the pod's namespace. */
export interface IpamPlugin {
  /** The name it is executed under, which is what `ipam.type` names. */
  readonly name: string;
  /** Addresses, routes and dns without any interface. */
  add(call: PluginCall, undo: UndoList): Result;
  del(call: PluginCall): void;
  check(call: PluginCall): void;
  status(call: StatusCall): void;
  /** As that of a plugin. */
  checkConfig(request: Request): void;
  gc(call: GcCall): void;
}

export interface ChainMember {
  /** The reference plugin's name: `portmap`. */
  readonly name: string;
  /** The runtime capability it serves (`portMappings`); absent when there is none. */
  readonly capability?: string;
  /** Whether the configuration asks for it; asked at ADD and CHECK only. Throws ConfigError. */
  isWanted(request: Request): boolean;
  /** Works on what earlier members made and gives the result with its own additions. */
  add(call: NetnsCall, previous: Result, undo: UndoList): Result;
  /**
   * Removes everything the attachment has of this concern, found by the attachment's key alone:
   * configuration, prevResult and namespace may all be missing or wrong.
   */
  del(call: DelCall): void;
  /** As that of a plugin. */
  delMany?(calls: readonly DelCall[]): readonly (Error | undefined)[];
  check(call: NetnsCall, previous: Result): void;
  /** Absent: this concern cannot become unavailable on its own. */
  status?(call: StatusCall): void;
  gc(call: GcCall): void;
}
