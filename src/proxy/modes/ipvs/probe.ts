/** What of the kernel the IPVS mode needs, found out before anything is written. */
import type { IpSets } from '../../../kernel/ipset-types.ts';
import type { Ipvs, VirtualServerKey } from '../../../kernel/ipvs-types.ts';
import { type IP, type IPFamily, parseIP } from '../../../net/ip.ts';
import { errorCode, IoError } from '../../../util/errors.ts';
import { SET_TYPES } from './sets.ts';

/** Of networks that are for documentation only (RFC 5737, RFC 3849); kube-proxy probes with the first. */
const PROBE_ADDRESS: Readonly<Record<IPFamily, IP>> = {
  4: parseIP('198.51.100.0'),
  6: parseIP('2001:db8::'),
};

/** Which schedulers the kernel has, or can load; each is asked for once. */
export class KnownSchedulers {
  readonly #ipvs: Pick<Ipvs, 'apply'>;
  readonly #key: VirtualServerKey;
  readonly #known = new Map<string, boolean>();

  constructor(ipvs: Pick<Ipvs, 'apply'>, family: IPFamily) {
    this.#ipvs = ipvs;
    this.#key = { kind: 'address', ip: PROBE_ADDRESS[family], protocol: 'tcp', port: 20_000 };
  }

  /** False for what was not learnt. */
  has(scheduler: string): boolean {
    return this.#known.get(scheduler) === true;
  }

  /** Gives those that are missing, each once: a virtual server of it is made and deleted. */
  async learn(schedulers: Iterable<string>): Promise<readonly string[]> {
    const missing: string[] = [];
    for (const scheduler of schedulers) {
      if (this.#known.has(scheduler)) continue;
      const isThere = await this.#ask(scheduler);
      this.#known.set(scheduler, isThere);
      if (!isThere) missing.push(scheduler);
    }
    return missing;
  }

  async #ask(scheduler: string): Promise<boolean> {
    const server = { key: this.#key, scheduler, persistenceSeconds: 0 };
    const probe = () =>
      this.#ipvs.apply([
        { op: 'addServer', server },
        { op: 'deleteServer', key: this.#key },
      ]);
    try {
      // What somebody who was killed has left is gone after the first.
      await probe().catch((thrown) => (errorCode(thrown) === 'EEXIST' ? probe() : raise(thrown)));
      return true;
    } catch (thrown) {
      if (errorCode(thrown) === 'ENOENT') return false;
      throw thrown;
    }
  }
}

function raise(thrown: unknown): never {
  throw thrown;
}

/** Throws IoError that names the module and the option of the kernel. */
export async function requireKernel(
  schedulers: Pick<KnownSchedulers, 'learn'>,
  ipSets: Pick<IpSets, 'requireType'>,
  { family, scheduler }: { readonly family: IPFamily; readonly scheduler: string },
): Promise<void> {
  for (const type of SET_TYPES) ipSets.requireType(type, family);
  const missing = await schedulers.learn([scheduler]).catch((cause: unknown) => {
    if (errorCode(cause) !== 'EAFNOSUPPORT') throw cause;
    throw new IoError(
      `this kernel's IPVS has no IPv${family}: boot one built with CONFIG_IP_VS_IPV6`,
      {
        cause,
      },
    );
  });
  if (missing.length === 0) return;
  const module = `ip_vs_${scheduler}`;
  throw new IoError(
    `this kernel has no IPVS scheduler ${scheduler} (ipvs.scheduler): load it with ` +
      `"modprobe ${module}", or boot a kernel built with CONFIG_${module.toUpperCase()}`,
  );
}
