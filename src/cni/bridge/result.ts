import type { Link } from '../../kernel/types.ts';
import type { Result, ResultInterface } from '../protocol/result.ts';
import { isAtLeast, type SpecVersion } from '../protocol/versions.ts';
import type { AttachmentPlan } from './plan.ts';

/** What is only known once it exists. */
export interface MadeLinks {
  readonly bridge: Pick<Link, 'mac' | 'mtu'>;
  /** The node's end; the pod's end has the same MTU. */
  readonly port: Pick<Link, 'mtu'>;
  readonly vlanGateway?: Pick<Link, 'mac' | 'mtu'>;
}

/**
 * The result of ADD: bridge, node's end, pod's end, and the VLAN's gateway link if there is one.
 * MTUs are told from 1.1.0 on, which knows them.
 */
export function buildResult(
  plan: AttachmentPlan,
  made: MadeLinks,
  request: { readonly netnsPath: string; readonly cniVersion: SpecVersion },
): Result {
  const isMtuTold = isAtLeast(request.cniVersion, '1.1.0');
  const mtuOf = ({ mtu }: { readonly mtu: number }) => (isMtuTold ? { mtu } : {});
  const macOf = ({ mac }: Pick<Link, 'mac'>) => (mac === undefined ? {} : { mac });
  const { vlanGateway: gateway } = made;
  const interfaces: ResultInterface[] = [
    { name: plan.bridge.name, ...macOf(made.bridge), ...mtuOf(made.bridge) },
    { name: plan.host.name, mac: plan.host.mac, ...mtuOf(made.port) },
    {
      name: plan.pod.ifName,
      mac: plan.pod.mac,
      ...mtuOf(made.port),
      sandbox: request.netnsPath,
    },
  ];
  if (gateway !== undefined && plan.vlanGateway !== undefined) {
    interfaces.push({ name: plan.vlanGateway.name, ...macOf(gateway), ...mtuOf(gateway) });
  }
  return { interfaces, ips: plan.result.ips, routes: plan.result.routes, dns: plan.dns };
}
