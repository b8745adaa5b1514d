import { findIptables } from '../../../iptables/programs.ts';
import { isWithoutNftables } from '../../../nftables/absence.ts';
import { NftablesConnection } from '../../../nftables/connection.ts';
import { toError } from '../../../util/errors.ts';
import { findNodeProcesses, seesNodeProcesses } from '../../proxy/kube-proxy-process.ts';
import { type Fact, factOf } from '../check.ts';
import type { CheckedNode } from '../checked-node.ts';
import { OTHER_NETWORKS, type ProgramFacts } from '../programs.ts';

const NAMES = new Set(['kube-proxy', ...OTHER_NETWORKS]);

export async function readProgramFacts({ agent }: CheckedNode): Promise<ProgramFacts> {
  const components = agent?.components;
  const nftables = factOf(whyNoNftables);
  return {
    running: factOf(() => findNodeProcesses(NAMES)),
    seesProcesses: seesNodeProcesses(),
    hasProxy: components?.has('proxy') ?? false,
    hasNetwork: components?.has('fabric') ?? false,
    nftables,
    // Programs are run only where their answer matters.
    iptables: nftables === undefined ? [] : await readVariants(),
    mode: agent?.proxy?.mode,
  };
}

function whyNoNftables(): string | undefined {
  const connection = NftablesConnection.open({ isLazy: true });
  try {
    connection.generation();
    return undefined;
  } catch (thrown) {
    if (isWithoutNftables(thrown)) return toError(thrown).message;
    throw thrown;
  } finally {
    connection.close();
  }
}

async function readVariants(): Promise<Fact<readonly string[]>> {
  try {
    return [...(await findIptables()).keys()];
  } catch (thrown) {
    return { unread: toError(thrown).message };
  }
}
