/** Every check there is, in the order in which people read them. */

import { readFilterTables } from '../foreign/read-filter-tables.ts';
import { ADDRESS_CHECKS } from './addresses.ts';
import { API_CHECKS } from './api.ts';
import { BGP_CHECKS } from './bgp.ts';
import { type Subject, subjectOf } from './check.ts';
import { CONNTRACK_CHECKS } from './conntrack.ts';
import { CounterDeltas } from './counter-deltas.ts';
import { DISK_CHECKS } from './disks.ts';
import { readAddressFacts } from './facts/addresses.ts';
import { readApiFacts } from './facts/api.ts';
import { readBgpFacts } from './facts/bgp.ts';
import { readConntrackFacts } from './facts/conntrack.ts';
import { readDiskFacts } from './facts/disks.ts';
import { readForeignFacts } from './facts/foreign-rules.ts';
import { readLimitFacts } from './facts/limits.ts';
import { readNeighbourFacts } from './facts/neighbours.ts';
import { readNetworkFacts } from './facts/networks.ts';
import { readSysctlFacts } from './facts/node-sysctls.ts';
import { readPortFacts } from './facts/ports.ts';
import { readProgramFacts } from './facts/programs.ts';
import { readRuntimeFacts } from './facts/runtime-config.ts';
import { readWayFacts } from './facts/ways.ts';
import { FOREIGN_CHECKS } from './foreign-rules.ts';
import { LIMIT_CHECKS } from './limits.ts';
import { NEIGHBOUR_CHECKS } from './neighbours.ts';
import { NETWORK_CHECKS } from './networks.ts';
import { SYSCTL_CHECKS } from './node-sysctls.ts';
import { PORT_CHECKS } from './ports.ts';
import { PROGRAM_CHECKS } from './programs.ts';
import { RUNTIME_CHECKS } from './runtime-config.ts';
import { WAY_CHECKS } from './ways.ts';

/** They remember counters of the kernel from one look to the next. */
export function openSubjects(): readonly Subject[] {
  const deltas = new CounterDeltas();
  return [
    subjectOf(SYSCTL_CHECKS, readSysctlFacts),
    subjectOf(FOREIGN_CHECKS, (node) => readForeignFacts(node, readFilterTables)),
    subjectOf(CONNTRACK_CHECKS, (node) => readConntrackFacts(node, deltas)),
    subjectOf(NEIGHBOUR_CHECKS, () => readNeighbourFacts(deltas)),
    subjectOf(LIMIT_CHECKS, readLimitFacts),
    subjectOf(WAY_CHECKS, (node) => readWayFacts(node, deltas)),
    subjectOf(NETWORK_CHECKS, readNetworkFacts),
    subjectOf(PORT_CHECKS, readPortFacts),
    subjectOf(PROGRAM_CHECKS, readProgramFacts),
    subjectOf(DISK_CHECKS, readDiskFacts),
    subjectOf(RUNTIME_CHECKS, readRuntimeFacts),
    subjectOf(API_CHECKS, readApiFacts),
    subjectOf(BGP_CHECKS, readBgpFacts),
    subjectOf(ADDRESS_CHECKS, readAddressFacts),
  ];
}
