/**
 * The group of `log group` (nfnetlink_log) that denied packets are handed to. One process of a
 * network namespace can have a group, so other programs must leave this one to weft.
 */
export const DENIED_LOG_GROUP = 9338;
