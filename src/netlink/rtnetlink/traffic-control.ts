/** RTM_*QDISC and RTM_*TFILTER messages (include/uapi/linux/rtnetlink.h, pkt_sched.h, pkt_cls.h). */
import { AttributeWriter, readAttributes, readString } from '../attributes.ts';

export const RTM_NEWQDISC = 36;
export const RTM_DELQDISC = 37;
export const RTM_GETQDISC = 38;
export const RTM_NEWTFILTER = 44;
export const RTM_DELTFILTER = 45;
export const RTM_GETTFILTER = 46;

/** Where a qdisc or filter hangs: `major << 16 | minor`. */
export const PARENT = {
  /** Replaces what a link sends through. */
  root: 0xffffffff,
  /** What `ingress` and `clsact` qdiscs are attached to. */
  clsact: 0xfffffff1,
  /** Filters on received packets, of both of those qdiscs. */
  ingress: 0xfffffff2,
} as const;

export const ROOT_HANDLE = 0x00010000;
const CLSACT_HANDLE = 0xffff0000;

const TCMSG_BYTES = 20;
const TCA_KIND = 1;
const TCA_OPTIONS = 2;
const TCA_U32_SEL = 5;
const TCA_U32_ACT = 7;
const TCA_ACT_KIND = 1;
const TCA_ACT_OPTIONS = 2;
const TCA_MIRRED_PARMS = 2;
const TC_ACT_STOLEN = 4;
const TCA_EGRESS_REDIR = 1;
const TC_U32_TERMINAL = 1;
const ETH_P_ALL = 0x0003;

export interface Qdisc {
  readonly kind: string;
  readonly handle: number;
  /** TCA_OPTIONS of its kind. */
  readonly options: Buffer;
}

/** One filter of kind u32 as far as redirecting everything is concerned. */
export interface RedirectFilter {
  readonly priority: number;
  readonly matchesEverything: boolean;
  /** ifindex the packets go out of; undefined when it does something else. */
  readonly target: number | undefined;
}

export interface QdiscKey {
  readonly link: number;
  readonly parent: number;
  readonly handle?: number;
}

export interface FilterKey {
  readonly link: number;
  readonly parent: number;
  /** 1 to 65535, lower ones are asked first; 0 in a dump asks for all. */
  readonly priority: number;
}

/** For RTM_NEWQDISC; `options` is TCA_OPTIONS of the kind. */
export function encodeQdisc(key: QdiscKey, kind: string, options?: Buffer): Buffer {
  const message = tcMessage(key).string(TCA_KIND, kind);
  if (options !== undefined) message.bytes(TCA_OPTIONS, options);
  return message.finish();
}

/** For RTM_NEWQDISC with CREATE|EXCL: a place for filters on both directions of a link. */
export function encodeClsact(link: number): Buffer {
  return encodeQdisc({ link, parent: PARENT.clsact, handle: CLSACT_HANDLE }, 'clsact');
}

/** For RTM_GETQDISC and RTM_DELQDISC. */
export function encodeQdiscKey(key: QdiscKey): Buffer {
  return tcMessage(key).finish();
}

/** Reads the payload of an RTM_NEWQDISC. */
export function decodeQdisc(payload: Buffer): Qdisc {
  const attributes = readAttributes(payload, TCMSG_BYTES);
  return {
    kind: readString(attributes.get(TCA_KIND) ?? Buffer.alloc(0)),
    handle: payload.readUInt32LE(8),
    options: attributes.get(TCA_OPTIONS) ?? Buffer.alloc(0),
  };
}

/** For RTM_GETTFILTER dumps and for RTM_DELTFILTER, which takes every filter of the priority. */
export function encodeFilterKey(key: FilterKey): Buffer {
  return tcMessage({ ...key, info: filterInfo(key.priority) }).finish();
}

/**
 * For RTM_NEWTFILTER with CREATE|EXCL: every packet, of any protocol, leaves through `target`
 * instead. u32 with one empty match, as `tc filter … u32 match u32 0 0`, which every kernel has.
 */
export function encodeRedirect(key: FilterKey, target: number): Buffer {
  return tcMessage({ ...key, info: filterInfo(key.priority) })
    .string(TCA_KIND, 'u32')
    .nested(TCA_OPTIONS, (options) => {
      options.nested(TCA_U32_ACT, (actions) =>
        actions.nested(1, (action) => {
          action.string(TCA_ACT_KIND, 'mirred');
          action.nested(TCA_ACT_OPTIONS, (mirred) =>
            mirred.bytes(TCA_MIRRED_PARMS, encodeMirred(target)),
          );
        }),
      );
      options.bytes(TCA_U32_SEL, matchEverything());
    })
    .finish();
}

/** Reads the payload of an RTM_NEWTFILTER; undefined for other kinds and for u32's hash tables. */
export function decodeRedirect(payload: Buffer): RedirectFilter | undefined {
  const attributes = readAttributes(payload, TCMSG_BYTES);
  if (readString(attributes.get(TCA_KIND) ?? Buffer.alloc(0)) !== 'u32') return undefined;
  const options = readAttributes(attributes.get(TCA_OPTIONS) ?? Buffer.alloc(0));
  const selector = options.get(TCA_U32_SEL);
  if (selector === undefined) return undefined;
  return {
    priority: payload.readUInt32LE(16) >>> 16,
    matchesEverything: selector.subarray(0, 32).equals(matchEverything()),
    target: readMirred(options.get(TCA_U32_ACT)),
  };
}

/** struct tcmsg. */
function tcMessage(fields: {
  readonly link: number;
  readonly parent: number;
  readonly handle?: number;
  readonly info?: number;
}): AttributeWriter {
  const header = Buffer.alloc(TCMSG_BYTES);
  header.writeInt32LE(fields.link, 4);
  header.writeUInt32LE(fields.handle ?? 0, 8);
  header.writeUInt32LE(fields.parent, 12);
  header.writeUInt32LE(fields.info ?? 0, 16);
  return new AttributeWriter().raw(header);
}

/** tcm_info of a filter: priority, and the protocol in network byte order. */
function filterInfo(priority: number): number {
  const protocol = Buffer.alloc(2);
  protocol.writeUInt16BE(ETH_P_ALL);
  return ((priority << 16) | protocol.readUInt16LE(0)) >>> 0;
}

/** struct tc_u32_sel with one struct tc_u32_key that compares nothing. */
function matchEverything(): Buffer {
  const selector = Buffer.alloc(32);
  selector.writeUInt8(TC_U32_TERMINAL, 0);
  selector.writeUInt8(1, 2);
  return selector;
}

/** struct tc_mirred. */
function encodeMirred(target: number): Buffer {
  const parameters = Buffer.alloc(28);
  parameters.writeInt32LE(TC_ACT_STOLEN, 8);
  parameters.writeInt32LE(TCA_EGRESS_REDIR, 20);
  parameters.writeUInt32LE(target, 24);
  return parameters;
}

function readMirred(actions: Buffer | undefined): number | undefined {
  const action = actions && readAttributes(actions).get(1);
  if (action === undefined) return undefined;
  const attributes = readAttributes(action);
  if (readString(attributes.get(TCA_ACT_KIND) ?? Buffer.alloc(0)) !== 'mirred') return undefined;
  const options = attributes.get(TCA_ACT_OPTIONS);
  const parameters = options && readAttributes(options).get(TCA_MIRRED_PARMS);
  if (parameters === undefined || parameters.readInt32LE(20) !== TCA_EGRESS_REDIR) return undefined;
  return parameters.readUInt32LE(24);
}
