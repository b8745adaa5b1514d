import type { AttachmentRecords } from '../../cni/attachment-records.ts';
import { WeftError } from '../../util/errors.ts';
import type { NodeChecks } from '../checks/node-checks.ts';
import type { CniComponent } from '../cni-component.ts';
import type { AgentContext } from '../context.ts';
import type { FabricComponent } from '../fabric/component.ts';
import type { FlowComponent } from '../flows/component.ts';
import type { PolicyView } from '../policy/view.ts';
import type { ProxyComponent } from '../proxy/component.ts';
import type { RoutingComponent } from '../routing/component.ts';
import type { AgentStatus } from '../status/values.ts';
import type { ObjectReader } from './explain/api-lookup.ts';

/** What of a running agent can be asked about. */
export interface DebugSubjects {
  readonly context: AgentContext;
  /** Of this node's pods, as the CNI plugins left them. */
  readonly records: AttachmentRecords;
  /** Undefined: the agent runs without the proxy component. */
  readonly proxy: ProxyComponent | undefined;
  /** Undefined: the agent runs without the policy component. */
  readonly policy: PolicyView | undefined;
  /** Undefined: the agent runs without the fabric component. */
  readonly fabric: FabricComponent | undefined;
  /** Undefined: the agent runs without the cni component. */
  readonly cni: CniComponent | undefined;
  /** Undefined: the agent runs without the routing component. */
  readonly routing: RoutingComponent | undefined;
  readonly flows: FlowComponent;
  /** Undefined: there is no API server. */
  readonly client: ObjectReader | undefined;
  readonly status: () => AgentStatus;
  /** Checks of this node. */
  readonly checks: NodeChecks;
}

/** Throws ENOTSUP. */
export function requirePolicy(command: string, { policy }: DebugSubjects): PolicyView {
  if (policy !== undefined) return policy;
  throw missingComponent(command, 'policy');
}

/** Throws ENOTSUP. */
export function requireProxy(
  command: string,
  { proxy }: Pick<DebugSubjects, 'proxy'>,
): ProxyComponent {
  if (proxy !== undefined) return proxy;
  throw missingComponent(command, 'proxy');
}

/** Throws ENOTSUP. */
export function requireFabric(
  command: string,
  { fabric }: Pick<DebugSubjects, 'fabric'>,
): FabricComponent {
  if (fabric !== undefined) return fabric;
  throw missingComponent(command, 'fabric');
}

/** Throws ENOTSUP. */
export function requireNftables(command: string, { choice: { mode } }: ProxyComponent): void {
  if (mode === 'nftables') return;
  const reason = `it reads nftables, and this agent works in mode ${mode}`;
  throw new WeftError('ENOTSUP', `weft ${command}: ${reason}`);
}

/** What to tell who asks a component that this agent does not have. */
export function missingComponent(command: string, component: string): WeftError {
  const cure = `start it with ${component} among --components`;
  return new WeftError(
    'ENOTSUP',
    `weft ${command}: this agent runs without the component ${component}; ${cure}`,
  );
}
