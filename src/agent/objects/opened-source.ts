import type { ClusterAccess } from '../../kube/access/access.ts';
import type { Agreement } from '../../kube/agreement.ts';
import type { ApiClient } from '../../kube/api/client.ts';
import type { PassedOverKind } from '../../kube/manifests/manifest-set.ts';
import type { SharedObjects } from '../../kube/shared-objects.ts';
import type { KubeCounts } from '../metrics/metrics.ts';
import type { SourceStatus } from '../status/values.ts';
import type { EventSink } from './events.ts';
import type { SubnetStore } from './subnet-store.ts';

/** Where objects come from, and where events about them go. */
export interface OpenedSource {
  readonly source: SharedObjects;
  readonly events: EventSink;
  /** For what is asked and written beside; undefined where there is no API server. */
  readonly client: ApiClient | undefined;
  /** Of the agents that read the same objects. */
  readonly agreement: Agreement;
  /** `10.0.0.1:6443`, of several the one in use, or the directory; for people. */
  readonly location: () => string;
  /** How the API server was found. */
  readonly foundBy: () => string | undefined;
  /** Absent for other sources. */
  readonly etcd?: () => NonNullable<SourceStatus['etcd']>;
  /** Where nodes come by their podCIDRs themselves. */
  readonly subnets?: {
    readonly store: SubnetStore;
    /** As configured; none: those of the default routes. */
    readonly nodeAddresses: readonly string[];
  };
  /** Of a server, by kind of object. */
  readonly counts: () => readonly KubeCounts[];
  /** What is wrong with it now, in words; nothing while all is well. */
  readonly problems: () => readonly string[];
  /** How the server in use is reached; undefined where there is none. */
  readonly access: () => ClusterAccess | undefined;
  /** What the server's clock is before ours, at its last answer; undefined where nothing answered. */
  readonly skewMs: () => number | undefined;
  /** What is wrong with the last known objects. */
  readonly stateProblems: () => readonly string[];
  /** Names of Nodes that there are, at least some. */
  readonly nodeNames: () => Promise<readonly string[]>;
  /** What files hold that has no effect. */
  readonly passedOver: () => readonly PassedOverKind[];
}
