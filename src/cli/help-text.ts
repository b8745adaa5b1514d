/** What `--help` teaches below the list of flags. */

export const ROOT_EPILOGUE = `weft connects the pods of one Kubernetes node. Components of the agent:
  cni     answers the container runtime: a pod gets its veth, addresses, routes
  proxy   Services by nftables, iptables, IPVS or sockets, in kube-proxy's place
  fabric  routes and tunnels to the pods of other nodes
  policy  who may talk to whom: NetworkPolicy, ClusterNetworkPolicy
  routing BGP by BIRD, and addresses for Services of type LoadBalancer

Examples:
  weft agent --kubeconfig FILE                   cni and proxy, from an API server
  weft agent --manifests DIR --components proxy  Services from files
  weft proxy --config FILE                       drop-in for kube-proxy
  weft install --drop-in                         existing CNI configurations
  weft status                                    how the agent is
  weft doctor                                    what is wrong, and its cure
  weft services shop/web                         frontends, endpoints, counts
  weft explain --from 10.1.0.2 --to 10.96.0.1:80 what becomes of it, why
  weft policy check --manifests DIR              who may talk to whom
  weft policy pod shop/db                        what policies say of a pod
  weft cleanup                                   undo what weft left

weft <command> --help tells the flags of one command.

Exit codes: 0 done, 1 failure, 2 wrong command line or configuration.`;
