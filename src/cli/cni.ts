/**
 * The CNI executable without the agent: stdin to stdout, synchronously. The shim runs it when
 * nobody listens on the agent's socket; it works on the same lock, store and tables.
 */
import { readFileSync, writeSync } from 'node:fs';
import { WEFT_VERSION } from '../agent/version.ts';
import { runVerb } from '../cni/call.ts';
import { openLocalNode } from '../cni/local-node.ts';
import { failure, type Outcome } from '../cni/protocol/outcome.ts';
import { chooseRunDirectory } from '../cni/run-directory.ts';
import { readMasqueraded } from '../fabric/table/kernel-view.ts';
import type { IP } from '../net/ip.ts';
import { NftablesConnection } from '../nftables/connection.ts';
import { errorCode } from '../util/errors.ts';

process.on('uncaughtException', (error) => finish(failure(error)));

/** Read once, by the first call that asks. */
let isFabrics: ((address: IP) => boolean) | undefined;

const uid = process.getuid?.() ?? 0;
const runDirectory = chooseRunDirectory({ env: process.env, uid });
finish(
  runVerb(
    { env: process.env, readStdin: () => readFileSync(0) },
    openLocalNode({
      runDirectory,
      isLongLived: false,
      version: WEFT_VERSION,
      isMasqueradedElsewhere: (address) => {
        isFabrics ??= readFabrics();
        return isFabrics(address);
      },
    }),
  ),
);

/** What cannot be read masquerades nobody. */
function readFabrics(): (address: IP) => boolean {
  try {
    return readMasqueraded(NftablesConnection.open());
  } catch {
    return () => false;
  }
}

function finish({ exitCode, stdout, stderr }: Outcome): never {
  writeAll(2, stderr);
  writeAll(1, stdout);
  process.exit(exitCode);
}

/** A non-blocking pipe may be full for a moment; a closed one has nobody to tell. */
function writeAll(fd: number, text: string): void {
  const bytes = Buffer.from(text);
  let offset = 0;
  while (offset < bytes.length) {
    try {
      offset += writeSync(fd, bytes, offset);
    } catch (thrown) {
      if (errorCode(thrown) !== 'EAGAIN') return;
    }
  }
}
