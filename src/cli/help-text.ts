/** What `--help` teaches below the list of flags. */

export const ROOT_EPILOGUE = `weft connects the pods of one Kubernetes node. Components of the agent:
  cni     answers the container runtime: a pod gets its veth, addresses, routes
  proxy   makes Services reachable (nftables or iptables), in kube-proxy's place
  fabric  routes and tunnels to the pods of other nodes
  policy  who may talk to whom: NetworkPolicy, ClusterNetworkPolicy

Examples:
  weft agent --kubeconfig FILE                   cni and proxy, from an API server
  weft agent --manifests DIR --components proxy  Services from files
  weft proxy --config FILE                       drop-in for kube-proxy
  weft install --drop-in                         existing CNI configurations
  weft status                                    how the agent is
  weft explain --from 10.1.0.2 --to 10.96.0.1:80 what becomes of it, why
  weft policy check --manifests DIR              who may talk to whom
  weft policy pod shop/db                        what policies say of a pod
  weft cleanup                                   undo what weft left

weft <command> --help tells the flags of one command.

Exit codes: 0 done, 1 failure, 2 wrong command line or configuration.`;

export const AGENT_EPILOGUE = `A flag replaces the setting of the same name in --config, a YAML file:
  components: [cni, proxy]
  nodeName: node-a
  kubeconfig: /etc/weft/kubeconfig     # or manifests: /etc/weft/objects
  runDir: /run/weft
  logLevel: info
  stateDir: /var/lib/weft              # and the other flags by name: takeOver
  iptablesVariant: auto                # nft or legacy, for iptables and ipvs
  proxy:                               # the fields of KubeProxyConfiguration
    mode: auto                           # or nftables, iptables, ipvs, …
    clusterCIDR: 10.0.0.0/8
    nftables: {minSyncPeriod: 1s}
  cni:
    ipamDirectory: /var/lib/cni/networks
    confDirectory: /etc/cni/net.d        # for the agent's own sweep
    criSocket: /run/containerd/containerd.sock  # optional: lists sandboxes

A change of the file is applied to the running agent where that is possible, else the log names the
key and the old value stays; a wrong file changes nothing.

Probes: /healthz and /livez on proxy.healthzBindAddress (0.0.0.0:10256); /metrics on
proxy.metricsBindAddress (127.0.0.1:10249). SIGTERM stops the agent and leaves pods and
Services working; weft cleanup removes them.`;

export const PROXY_EPILOGUE = `Flags and file are kube-proxy's. With --config its other flags are ignored, except
--hostname-override and those of logging; --state-dir, --allow-mass-deletion,
--conntrack-kill-tcp, --endpoint-metrics, --take-over, --iptables-variant, --run-dir and the
limits of mode userspace are weft's own and always count. A change of the file is applied to the running process where that is possible; a
wrong one changes nothing. An empty mode means nftables; auto takes the first of nftables, iptables,
ipvs and userspace that the node can do and stays with it until a reboot. After a start in another
mode the rules of the former one go once the new ones serve.

Examples:
  weft proxy --config config.conf --hostname-override "$NODE_NAME"
  weft proxy --kubeconfig FILE --cluster-cidr 10.0.0.0/8
  weft proxy --proxy-mode nftables --write-config-to config.yaml`;

export const INSTALL_EPILOGUE = `Makes bridge, host-local, portmap and the other names weft answers to links to weft, so that the
CNI configurations of a node stay as they are. A name whose plugin would refuse what one of them
asks for is not taken, and told with the reason. Originals are kept beside the names as NAME.weft-saved.
Pods that are there already are checked and removed by whichever program holds the name. Doing it
twice changes nothing. Every name is one program or the other at any moment.

Examples:
  weft install --drop-in --dry-run
  weft install --drop-in --cni-bin /usr/lib/cni
  weft install --drop-in --undo`;

export const STATUS_EPILOGUE = `Asks the running agent how it is: the proxy's mode and why it is that, Services and endpoints by
family, the last sync and what waits for the next, where objects come from, pods and their
addresses, memory. Without an agent it tells what is on record on disk.

Exit codes: 0 healthy, 1 not healthy or not running, 2 wrong command line.

Examples:
  weft status
  weft status --output json --run-dir /run/weft`;

export const EXPLAIN_EPILOGUE = `Asks the running agent for the decisions it makes for such a connection, in order, and the verdict:
which map has it, who may answer with which share, and whose address the endpoint sees. They come
from the values that the rules are made from. --live looks at the rules themselves: it waits for a
packet from --from to --to, follows it by nftrace, and says whether the model was right.

Where the agent enforces policies they are asked about every endpoint: which one decides, or that none
allows it. A name is that of a Service, of a pod, or node/NAME; a port can be named too.

Examples:
  weft explain --from shop/cart --to shop/db:postgres
  weft explain --from 10.1.0.2 --to 10.96.0.1:80
  weft explain --from 203.0.113.9 --to 192.168.0.1:30080 --proto udp
  weft explain --from 10.1.0.2 --to 10.96.0.1:80 --live --timeout 30s`;

export const DIFF_EPILOGUE = `Compares the nftables tables in the kernel with what the agent wants them to be, and changes
nothing (an agent in mode iptables has no such tables, and says so): + is
missing, - is too much, ~ is there with something else. Changes by somebody else are repaired by
the agent at once, so what stays listed is worth a look at its log.

Exit codes: 0 no difference, 1 some, 2 failure.`;

export const CLEANUP_EPILOGUE = `Removes weft's nftables tables, the chains of Services in iptables if an agent of this run
directory made them, the network configuration that an agent wrote, its files in the run directory and
the last known objects, the routes and the tunnel to other nodes, and prints each thing it removed. What
living pods need stays, with their names: host ports, masquerade, checks of senders, ways to other nodes;
so do Services where no other proxy has rules. Other programs' rules are not touched, and neither are
pods' links and addresses (with --all sysctls get the values from before): they go with the runtime's DEL. Stop the agent before: beside one it is
refused, because the agent would put everything back; --dry-run says so. A component that the agent does
not have is taken out beside it.`;

export const POLICY_LIST_EPILOGUE = `Lists the policies that the agent of this node enforces, in the order in which they decide: Admin by
priority, NetworkPolicies, Baseline. ALLOWED and DENIED count first packets of connections of pods of
this node; - means that nothing counts them. Lines with ! tell what is not supported and fails closed.

Examples:
  weft policy list
  weft policy list --all --output json`;

export const POLICY_POD_EPILOGUE = `Tells what policies say about one pod: which select it, and what they allow and deny, in the order in
which they decide. Connections to a Service are judged by the pod that answers. The namespace can be
left out where no two pods share the name.

Examples:
  weft policy pod shop/db
  weft policy pod shop/db --output json`;

export const POLICY_DENIED_EPILOGUE = `Prints connections that policies denied on this node: who, to whom, and which policy. It is a sample,
one line for each pair of pods and port a minute, and few at once; weft policy list has the counts.
The last 500 are kept. With --output json each is one line.

Examples:
  weft policy denied --follow
  weft policy denied --output json`;

export const POLICY_CHECK_EPILOGUE = `Judges NetworkPolicies and ClusterNetworkPolicies from files alone:
no agent and no cluster is asked. What kubectl prints will do:
  kubectl get pods,ns,nodes,networkpolicies -A -o json > DIR/cluster.json

A connection is "shop/cart -> shop/db:5432/tcp"; instead of a pod it can name node/NAME or an
address, and end in /udp, /sctp or /icmp. A line of --probes is
  {"from":"shop/cart","to":"shop/db","protocol":"TCP","port":5432}
with "allowed":true or false where an answer is expected, "family":6 for IPv6. Answers come in the
same order. Without a question the command prints who may connect to whom, at the ports that
containers declare (TCP 80 of a pod without any) and those that policies name for it.

Exit codes: 0 all as expected and nothing differs, 1 not as expected or something differs,
2 a probe names nobody, or files or command line are wrong.`;
