import type { CniComponent } from './cni-component.ts';
import type { FabricComponent } from './fabric/component.ts';
import type { OpenedSource } from './objects/opened-source.ts';
import type { PolicyComponent } from './policy/component.ts';
import type { ProxyComponent } from './proxy/component.ts';
import type { RoutingComponent } from './routing/component.ts';

/** The parts of an agent that have something to tell. */
export interface RunningParts {
  readonly startedAtMs: number;
  readonly proxy: ProxyComponent | undefined;
  readonly cni: CniComponent | undefined;
  readonly fabric: FabricComponent | undefined;
  readonly policy: PolicyComponent | undefined;
  readonly routing: RoutingComponent | undefined;
  readonly objects: OpenedSource | undefined;
}
