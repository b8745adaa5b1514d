/** What happens inside the pod, and how others learn of it. */
import { isForwarding } from '../../kernel/link-monitor.ts';
import type { Netns, NodeRtnl, Rtnl, Sysctls } from '../../kernel/types.ts';
import { cidrFamily, type IPWithPrefix } from '../../net/cidr.ts';
import { errorCode, toError } from '../../util/errors.ts';
import { isIPv6Disabled, linkAddress } from './gateway-addresses.ts';
import type { AttachmentPlan, PodPlan } from './plan.ts';
import { applySysctls } from './sysctls.ts';

/** The kernel raises the port of a new pair within a few milliseconds. */
const PORT_UP_TIMEOUT_MS = 200;

/** Longest wait for duplicate address detection, as the reference plugin's SettleAddresses. */
const DETECTION_TIMEOUT_MS = 5000;
const DETECTION_STEP_MS = 20;

type Pause = (ms: number) => void;

/** Loopback, addresses and routes inside the pod, whose end of the pair has ifindex `index`. */
export function configurePod(
  pod: Rtnl,
  { sysctls, pause }: { readonly sysctls: Sysctls; readonly pause: Pause },
  plan: PodPlan,
  { netns, index }: { readonly netns: Netns; readonly index: number },
): void {
  const loopback = pod.link('lo');
  if (loopback !== undefined && !loopback.isUp) pod.changeLink(loopback.index, { isUp: true });
  if (!plan.isRaised) return;
  const firstIPv6 = plan.addresses.find((address) => cidrFamily(address) === 6);
  explaining(firstIPv6, plan, () => applySysctls(sysctls, netns, plan.sysctls));
  for (const address of plan.addresses) {
    const isTentative = plan.detectsDuplicates && cidrFamily(address) === 6;
    explaining(address, plan, () => {
      pod.addAddress(index, { ...linkAddress(address), ...(isTentative ? { isTentative } : {}) });
    });
  }
  pod.changeLink(index, { isUp: true });
  if (plan.detectsDuplicates && firstIPv6 !== undefined) settle(pod, pause, plan, index);
  for (const route of plan.routes) pod.addRoute({ ...route, link: index });
}

/**
 * Gratuitous ARP and unsolicited neighbour advertisements from the pod. Those the kernel sends when
 * the link is raised are lost, because the bridge port forwards only a moment later; setting the
 * hardware address once more, to what it is, makes the kernel send them again (NETDEV_CHANGEADDR).
 * A port that does not come up is left to its carrier: the attachment itself is complete.
 */
export function announce(
  { host, pod, pause }: { host: NodeRtnl; pod: Rtnl; pause: Pause },
  plan: AttachmentPlan,
  links: { readonly port: number; readonly pod: number },
): void {
  if (plan.pod.addresses.length === 0) return;
  for (let waitedMs = 0; !isPortForwarding(host, links.port); waitedMs += 1) {
    if (waitedMs === PORT_UP_TIMEOUT_MS) return;
    pause(1);
  }
  pod.changeLink(links.pod, { mac: plan.pod.mac });
}

function isPortForwarding(host: NodeRtnl, index: number): boolean {
  const port = host.linkByIndex(index);
  return port !== undefined && isForwarding(port);
}

/** Waits until no address is tentative any more. Throws when one of them is somebody else's. */
function settle(pod: Rtnl, pause: Pause, plan: PodPlan, index: number): void {
  for (let waitedMs = 0; ; waitedMs += DETECTION_STEP_MS) {
    const addresses = pod.addresses(index).filter(({ scope }) => scope === 'global');
    const duplicate = addresses.find(({ isDuplicate }) => isDuplicate === true);
    if (duplicate !== undefined) {
      const text = `address ${duplicate.address} of "${plan.ifName}" is in use on the network`;
      throw new Error(`${text}: duplicate address detection failed`);
    }
    if (!addresses.some(({ isTentative }) => isTentative === true)) return;
    if (waitedMs >= DETECTION_TIMEOUT_MS) {
      // Without a carrier nobody can answer, and there is nothing to wait for.
      if (pod.linkByIndex(index)?.operState !== 'up') return;
      throw new Error(`addresses of "${plan.ifName}" are still tentative after 5 s`);
    }
    pause(DETECTION_STEP_MS);
  }
}

/** A kernel without IPv6, or one where it cannot be switched on, is told in one sentence. */
function explaining(address: IPWithPrefix | undefined, plan: PodPlan, step: () => void): void {
  try {
    step();
  } catch (cause) {
    if (address === undefined || !isIPv6Missing(address, cause)) throw cause;
    const text = `cannot give ${address} to "${plan.ifName}": IPv6 is disabled in the pod`;
    throw new Error(text, { cause });
  }
}

function isIPv6Missing(address: IPWithPrefix, thrown: unknown): boolean {
  const code = errorCode(toError(thrown).cause);
  return isIPv6Disabled(address, thrown) || code === 'ENOENT' || code === 'EROFS';
}
