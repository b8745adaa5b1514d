/** What commands need that do more than ask an agent: most of weft, loaded when one of them runs. */
import { dropIn } from '../agent/drop-in/drop-in.ts';
import type { Step } from '../agent/drop-in/plan.ts';
import { lockConnectivityTest } from '../agent/run-dir.ts';
import { WEFT_VERSION } from '../agent/version.ts';
import { readNetworkConfigs } from '../cni/network-configs.ts';
import type { Environment } from '../cni/protocol/request.ts';
import { configRefusals } from '../cni/refusals.ts';
import { PLUGIN_NAMES } from '../cni/registry.ts';
import { readKubeconfig } from '../kube/access/kubeconfig.ts';
import { ApiClient } from '../kube/api/client.ts';
import { wire } from '../netlink/wire.ts';
import { systemClock } from '../util/clock.ts';
import type { DropInFlags } from './effects.ts';

export { runAgent } from '../agent/agent.ts';
export { checkWithoutAgent } from '../agent/checks/without-agent.ts';
export { cleanup } from '../agent/cleanup/cleanup.ts';
export { servePageOf } from '../agent/page/remote.ts';
export { sysdump } from '../agent/sysdump/sysdump.ts';
export { readManifests } from '../kube/manifests/read-manifests.ts';

/** Takes or gives back the names of the reference plugins for the shim at this path. */
export function dropInNames({ cniConfDir, ...flags }: DropInFlags, shim: string): readonly Step[] {
  const refusals = configRefusals(readNetworkConfigs(cniConfDir), PLUGIN_NAMES);
  return dropIn({ ...flags, shim, names: PLUGIN_NAMES, refusals });
}

/** One connectivity test at a time on a node; gives what ends it. Throws BusyError. */
export function lockTest(runDir: string): () => void {
  const lock = lockConnectivityTest(runDir, process.pid, wire.flock);
  return () => lock.release();
}

/** The API server of a kubeconfig. Throws ConfigError. */
export async function openApi(kubeconfig: string, environment: Environment): Promise<ApiClient> {
  const access = await readKubeconfig(kubeconfig, { clock: systemClock, environment });
  const { random } = Math;
  return new ApiClient({ access, version: WEFT_VERSION, clock: systemClock, random });
}
