import { AttributeWriter } from '../attributes.ts';
import { AF_UNSPEC } from '../numbers.ts';
import {
  NFULA_CFG_CMD,
  NFULA_CFG_FLAGS,
  NFULA_CFG_MODE,
  NFULA_CFG_QTHRESH,
  NFULA_CFG_TIMEOUT,
  NFULNL_CFG_CMD_BIND,
  NFULNL_CFG_F_SEQ,
  NFULNL_COPY_PACKET,
} from './constants.ts';

export interface LogGroupOptions {
  /** That of `log group`, 0 to 65535. */
  readonly group: number;
  /** Of each packet, from its IP header on. */
  readonly copyBytes: number;
  /** The kernel waits for so many packets before it sends them, */
  readonly mostInMessage: number;
  /** but for no longer than this; counts in hundredths of a second. */
  readonly waitMs: number;
}

/** For NFULNL_MSG_CONFIG: binds the group to the socket that sends it, with sequence numbers. */
export function encodeLogGroup(options: LogGroupOptions): Buffer {
  const { group, copyBytes, mostInMessage, waitMs } = options;
  const version = 0;
  const header = Buffer.from([AF_UNSPEC, version, group >> 8, group & 0xff]);
  // struct nfulnl_msg_config_mode: the range, the mode, one byte of padding.
  const mode = Buffer.alloc(6);
  mode.writeUInt32BE(copyBytes, 0);
  mode.writeUInt8(NFULNL_COPY_PACKET, 4);
  return new AttributeWriter()
    .raw(header)
    .u8(NFULA_CFG_CMD, NFULNL_CFG_CMD_BIND)
    .bytes(NFULA_CFG_MODE, mode)
    .u32be(NFULA_CFG_TIMEOUT, Math.ceil(waitMs / 10))
    .u32be(NFULA_CFG_QTHRESH, mostInMessage)
    .u16be(NFULA_CFG_FLAGS, NFULNL_CFG_F_SEQ)
    .finish();
}
