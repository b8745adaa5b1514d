import { type Attachment, attachmentKey } from '../../cni/attachment.ts';
import type {
  AttachmentEntry,
  AttachmentRecord,
  AttachmentRecords,
  PodIdentity,
} from '../../cni/attachment-records.ts';
import type { IP } from '../../net/ip.ts';
import type { LocalPod } from '../../policy/change.ts';

export interface LocalPodsOptions {
  readonly records: AttachmentRecords;
  /** Records of another boot belong to no pod that there is. */
  readonly bootId: () => string;
}

/** Told whenever a pod comes, changes or goes; without `now` it is gone. */
export type LocalPodListener = (key: string, now?: LocalPod) => void;

/** What one attachment adds to its pod. */
interface Part {
  readonly podKey: string;
  readonly uid: string | undefined;
  readonly addresses: readonly IP[];
}

/**
 * The pods of this node as the CNI has them on record, each with the addresses of all its attachments: a
 * pod is there before the API tells its addresses, and for as long as its interface is. Of two sandboxes
 * by one name, the later one's uid counts.
 */
export class LocalPods {
  readonly #options: LocalPodsOptions;
  /** By attachment, the latest last. */
  readonly #parts = new Map<string, Part>();
  readonly #pods = new Map<string, LocalPod>();
  readonly #owners = new Map<IP, Set<string>>();
  /** Addresses of more than one pod. */
  readonly #shared = new Set<IP>();
  #listener: LocalPodListener = () => {};

  constructor(options: LocalPodsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#pods.size;
  }

  get(key: string): LocalPod | undefined {
    return this.#pods.get(key);
  }

  /** Another pod that has one of these addresses. */
  rivalOf(key: string, addresses: readonly IP[]): string | undefined {
    for (const address of addresses) {
      for (const owner of this.#owners.get(address) ?? []) if (owner !== key) return owner;
    }
    return undefined;
  }

  /** Addresses of more than one pod, each with its pods. */
  shared(): readonly { readonly address: IP; readonly pods: readonly string[] }[] {
    return [...this.#shared].map((address) => {
      return { address, pods: [...(this.#owners.get(address) ?? [])].sort() };
    });
  }

  /** Tells at once of those that there are. */
  follow(listener: LocalPodListener): void {
    this.#listener = listener;
    for (const [key, pod] of this.#pods) listener(key, pod);
  }

  /** Compares with the records, which other processes write too. */
  read(): void {
    const { records, bootId } = this.#options;
    const keys = records.keys();
    const present = new Set(keys);
    const changed = new Set<string>();
    for (const [key, { podKey }] of this.#parts) {
      if (present.has(key)) continue;
      this.#parts.delete(key);
      changed.add(podKey);
    }
    const added = records.list(keys.filter((key) => !this.#parts.has(key)));
    const boot = added.length === 0 ? '' : bootId();
    for (const record of added.filter((each) => each.bootId === boot).toSorted(byAge)) {
      const podKey = this.#add(record);
      if (podKey !== undefined) changed.add(podKey);
    }
    for (const podKey of changed) this.#tell(podKey);
  }

  /** The records, told on to here as this process writes them. */
  observe(records: AttachmentRecords): AttachmentRecords {
    return {
      ...records,
      write: (entry) => {
        records.write(entry);
        const podKey = this.#add(entry);
        if (podKey !== undefined) this.#tell(podKey);
      },
      remove: (attachment) => {
        records.remove(attachment);
        this.#remove(attachment);
      },
    };
  }

  #add({ attachment, pod, addresses }: AttachmentEntry): string | undefined {
    const podKey = podKeyOf(pod);
    if (podKey === undefined) return undefined;
    const key = attachmentKey(attachment);
    this.#parts.delete(key);
    this.#parts.set(key, { podKey, uid: pod.podUid, addresses });
    return podKey;
  }

  #remove(attachment: Attachment): void {
    const key = attachmentKey(attachment);
    const part = this.#parts.get(key);
    this.#parts.delete(key);
    if (part !== undefined) this.#tell(part.podKey);
  }

  #tell(podKey: string): void {
    const parts = [...this.#parts.values()].filter((part) => part.podKey === podKey);
    const uid = parts.at(-1)?.uid;
    const ips = [...new Set(parts.flatMap(({ addresses }) => addresses))];
    this.#own(podKey, ips);
    if (ips.length === 0) {
      if (this.#pods.delete(podKey)) this.#listener(podKey);
      return;
    }
    const pod: LocalPod = { key: podKey, uid, ips };
    this.#pods.set(podKey, pod);
    this.#listener(podKey, pod);
  }

  #own(podKey: string, ips: readonly IP[]): void {
    const before = this.#pods.get(podKey)?.ips ?? [];
    for (const ip of before.filter((each) => !ips.includes(each))) {
      const owners = this.#owners.get(ip);
      owners?.delete(podKey);
      if (owners?.size === 0) this.#owners.delete(ip);
    }
    for (const ip of ips) {
      const owners = this.#owners.get(ip) ?? new Set();
      this.#owners.set(ip, owners.add(podKey));
    }
    for (const ip of [...before, ...ips]) {
      if ((this.#owners.get(ip)?.size ?? 0) > 1) this.#shared.add(ip);
      else this.#shared.delete(ip);
    }
  }
}

/** `namespace/name`; undefined for what is no pod of a cluster. */
export function podKeyOf({ podNamespace, podName }: PodIdentity): string | undefined {
  return podNamespace && podName ? `${podNamespace}/${podName}` : undefined;
}

function byAge(a: AttachmentRecord, b: AttachmentRecord): number {
  return a.createdAtMs - b.createdAtMs;
}
