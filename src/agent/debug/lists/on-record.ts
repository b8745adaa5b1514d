/** What is on record on disk: the same with and without an agent. */
import { join } from 'node:path';
import { openJournal } from '../../../cni/journal.ts';
import { readBootId } from '../../../cni/machine.ts';
import { openRecords } from '../../../cni/upkeep/records.ts';
import { systemClock } from '../../../util/clock.ts';
import { type Steps, takeAtOnce } from '../../../util/turns.ts';
import { readAddressLog } from '../../addresses/log-file.ts';
import { readLogSteps } from '../../addresses/log-lines.ts';
import { DEFAULT_CNI } from '../../config/default-directories.ts';
import { type CniDirectories, knownNetworks } from '../../status/cni-status.ts';
import type { AddressFacts } from './addresses.ts';
import type { PodFacts } from './pods.ts';

/** What lists of pods and addresses are made of; records of another boot belong to no pod that there is. */
export interface NodeRecords extends PodFacts, AddressFacts {}

/** Reads the records in a run directory, and the address stores. */
export function* nodeRecordsSteps(directories: CniDirectories): Steps<NodeRecords> {
  const podFacts = readPodFacts(directories.runDir);
  yield;
  const stores = knownNetworks(directories).map(({ name: network, directory }) => {
    return { network, directory };
  });
  yield;
  const { past } = yield* readLogSteps(readAddressLog(directories.runDir));
  return { ...podFacts, stores, past };
}

/** The records and the journal alone. */
export function readPodFacts(runDir: string): PodFacts {
  const bootId = readBootId();
  const records = openRecords(join(runDir, 'attachments'), {
    bootId: () => bootId,
    now: systemClock.now,
  });
  return {
    records: records.list().filter((record) => record.bootId === bootId),
    unfinished: openJournal(join(runDir, 'adding')).unfinished(),
  };
}

/** At once, with address stores where they are unless configured otherwise: for a program without an agent. */
export function readNodeRecords(runDir: string): NodeRecords {
  return takeAtOnce(nodeRecordsSteps({ runDir, ...DEFAULT_CNI }));
}
