/**
 * Numbers of include/uapi/linux/netfilter/nf_tables.h and nfnetlink.h, only those in use. Attribute
 * types are grouped by the object that carries them.
 */

export const NFNL_SUBSYS_NFTABLES = 10;
export const NFNLGRP_NFTABLES = 7;
export const NFNLGRP_NFTRACE = 9;
export const NFNETLINK_V0 = 0;

export const NLA_F_NESTED = 0x8000;
export const NFNL_MSG_BATCH_BEGIN = 16;
export const NFNL_MSG_BATCH_END = 17;
export const NFNL_BATCH_GENID = 1;

export const MSG = {
  NEWTABLE: 0,
  GETTABLE: 1,
  DELTABLE: 2,
  NEWCHAIN: 3,
  GETCHAIN: 4,
  DELCHAIN: 5,
  NEWRULE: 6,
  GETRULE: 7,
  DELRULE: 8,
  NEWSET: 9,
  GETSET: 10,
  DELSET: 11,
  NEWSETELEM: 12,
  GETSETELEM: 13,
  DELSETELEM: 14,
  NEWGEN: 15,
  GETGEN: 16,
  TRACE: 17,
  GETOBJ: 19,
  GETFLOWTABLE: 23,
} as const;

/** Address families as nfgenmsg carries them. */
export const FAMILY = { inet: 1, ip: 2, arp: 3, netdev: 5, bridge: 7, ip6: 10 } as const;

export const TABLE = { NAME: 1, FLAGS: 2, USERDATA: 6 } as const;
export const TABLE_FLAG = { DORMANT: 0x1, OWNER: 0x2 } as const;
/** Of stateful objects and of flowtables alike. */
export const NAMED = { TABLE: 1, NAME: 2 } as const;
export const CHAIN = {
  TABLE: 1,
  NAME: 3,
  HOOK: 4,
  POLICY: 5,
  USE: 6,
  TYPE: 7,
  USERDATA: 12,
} as const;
export const HOOK = { NUMBER: 1, PRIORITY: 2 } as const;
export const RULE = {
  TABLE: 1,
  CHAIN: 2,
  HANDLE: 3,
  EXPRESSIONS: 4,
  POSITION: 6,
  USERDATA: 7,
} as const;
export const SET = {
  TABLE: 1,
  NAME: 2,
  FLAGS: 3,
  KEY_TYPE: 4,
  KEY_LEN: 5,
  DATA_TYPE: 6,
  DATA_LEN: 7,
  DESC: 9,
  ID: 10,
  TIMEOUT: 11,
  USERDATA: 13,
  EXPR: 17,
  EXPRESSIONS: 18,
} as const;
export const SET_FLAG = {
  INTERVAL: 0x4,
  MAP: 0x8,
  TIMEOUT: 0x10,
  EVAL: 0x20,
  CONCAT: 0x80,
} as const;
export const SET_DESC = { SIZE: 1, CONCAT: 2 } as const;
export const SET_FIELD_LEN = 1;
export const ELEMENT_LIST = { TABLE: 1, SET: 2, ELEMENTS: 3 } as const;
export const ELEMENT = {
  KEY: 1,
  DATA: 2,
  FLAGS: 3,
  TIMEOUT: 4,
  EXPIRATION: 5,
  USERDATA: 6,
  EXPR: 7,
  KEY_END: 10,
  EXPRESSIONS: 11,
} as const;
export const ELEMENT_INTERVAL_END = 1;
export const LIST_ELEM = 1;
export const EXPR = { NAME: 1, DATA: 2 } as const;
export const DATA = { VALUE: 1, VERDICT: 2 } as const;
export const DATA_TYPE_VERDICT = 0xffffff00;
export const VERDICT = { CODE: 1, CHAIN: 2 } as const;
/** enum nft_match_attributes of nf_tables_compat.h */
export const XT_MATCH = { NAME: 1, REVISION: 2, CONTENT: 3 } as const;
/** Seconds of the unit, and packets of the burst. */
export const LIMIT = { RATE: 1, UNIT: 2, BURST: 3, TYPE: 4, FLAGS: 5 } as const;
/** Of the expression `dynset`: what each element it adds carries. */
export const DYNSET_EXPRESSION = 7;
export const GEN = { ID: 1, PROC_NAME: 3 } as const;
/** enum nft_trace_attributes */
export const TRACE = {
  TABLE: 1,
  CHAIN: 2,
  RULE_HANDLE: 3,
  TYPE: 4,
  VERDICT: 5,
  ID: 6,
  NETWORK_HEADER: 8,
  TRANSPORT_HEADER: 9,
  IIF: 10,
  OIF: 12,
  POLICY: 16,
} as const;
export const COUNTER = { BYTES: 1, PACKETS: 2 } as const;

/** enum nft_ng_types of nf_tables.h: a random number each time, instead of one more. */
export const NUMGEN_RANDOM = 1;
