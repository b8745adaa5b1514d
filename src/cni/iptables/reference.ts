/** What the reference plugins leave in tables of nf_tables since release 1.6, per attachment. */
import { sha512 } from '../../util/sha512.ts';
import type { Attachment } from '../attachment.ts';
import type { CommentedRules } from './remove.ts';

/** Digits of a digest in a comment (hashForNetwork, hashForInstance). */
const DIGEST_DIGITS = 16;

/** Rules of `ipMasqBackend: nftables` (pkg/ip/ipmasq_nftables_linux.go): the comment begins with digests. */
export function masqueradeRules({
  network,
  containerId,
  ifName,
}: Attachment): readonly CommentedRules[] {
  const prefix = `${digest(network)}-${digest(`${ifName}:${containerId}`)}`;
  return [
    {
      table: { family: 'inet', name: 'cni_plugins_masquerade' },
      chains: ['masq_checks'],
      isOwn: (comment) => comment.startsWith(prefix),
    },
  ];
}

/** Rules of portmap's nftables backend (portmap_nftables.go): the comment is the container's id. */
export function hostPortRules({ containerId }: Attachment): readonly CommentedRules[] {
  return (['ip', 'ip6'] as const).map((family) => ({
    table: { family, name: 'cni_hostport' },
    chains: ['hostports', 'hostip_hostports', 'masquerading'],
    isOwn: (comment) => comment === containerId,
  }));
}

function digest(text: string): string {
  return sha512(text).slice(0, DIGEST_DIGITS);
}
