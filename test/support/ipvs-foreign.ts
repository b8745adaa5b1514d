/** What others have on a node with IPVS, some of names like the proxy's, and what is left of it. */
import { IPV4 } from './flows/net.ts';
import type { TestNetns } from './netns.ts';

const FOREIGN = [
  'ipvsadm -A -t 192.0.2.77:80 -s rr',
  'ipvsadm -a -t 192.0.2.77:80 -r 192.0.2.78:80 -m',
  `ipvsadm -A -t ${IPV4.node}:22 -s sh`,
  'ipvsadm -A -u 192.0.2.77:53 -s wrr -p 60',
  'ipvsadm -A -f 7 -s mh',
  'ipvsadm -A -t [2001:db8::77]:80 -s wlc',
  'ipset create THEIRS hash:ip',
  'ipset add THEIRS 192.0.2.77',
  'ipset create KUBE-THEIRS hash:ip,port',
  'iptables-legacy -t nat -N THEIRS',
  'iptables-legacy -t nat -A THEIRS -m set --match-set THEIRS dst -j RETURN',
  'iptables-legacy -t nat -A PREROUTING -d 192.0.2.77 -j THEIRS',
  'iptables-legacy -N KUBE-ROUTER-FORWARD',
  'iptables-legacy -A FORWARD -d 192.0.2.77 -j KUBE-ROUTER-FORWARD',
  'ip link add theirs0 up type dummy',
  'ip addr add 198.18.0.9/32 dev theirs0',
];

export function addForeign({ run }: TestNetns): void {
  run('sh', '-ec', FOREIGN.join('\n'));
}

/** Everything of theirs, wherever it is listed. */
export function foreignIn({ run }: TestNetns): readonly string[] {
  const listings = [
    run('ipvsadm', '--save', '-n'),
    run('ipset', 'save'),
    run('iptables-legacy-save'),
    run('ip', '-o', 'addr', 'show', 'theirs0'),
  ];
  const isTheirs = /192\.0\.2\.7|::77|THEIRS|theirs0|ROUTER|-f 7|:22 /;
  return listings.flatMap((listing) =>
    listing
      .split('\n')
      .filter((line) => !line.startsWith('#') && isTheirs.test(line))
      .map((line) => line.replace(/ \[\d+:\d+\]$/, '')),
  );
}
