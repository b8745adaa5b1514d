import type { Plugin } from '../plugin.ts';
import { add } from './add.ts';
import { check } from './check.ts';
import { parseBridgeConfig } from './config.ts';
import { del, delMany } from './del.ts';
import { gc } from './gc.ts';
import { status } from './status.ts';

/** The reference's `bridge`: a veth pair per pod, its node end a port of a bridge. */
export const bridgePlugin: Plugin = {
  name: 'bridge',
  add,
  del,
  delMany,
  check,
  status,
  checkConfig: (request) => void parseBridgeConfig(request),
  gc,
};
