/** The flows of the table that are tried with packets, one by one. */
import type { Flow, SettingsName } from './flow.ts';
import { IPV4, IPV6, type Net } from './net.ts';
import { flowTable } from './table.ts';

/** A flow of the table, and where it stands. */
export interface FlowRow {
  readonly net: Net;
  readonly settings: SettingsName;
  readonly group: string;
  readonly flow: Flow;
}

export const SETTINGS: readonly SettingsName[] = [
  'base',
  'byBridge',
  'noDetector',
  'masqueradeAll',
  'noDetectorMasqueradeAll',
  'primaryNodePorts',
  'listedNodePorts',
];

/** The rows of both families with these settings; there are no sockets for SCTP. */
export function rowsOf(settings: SettingsName): readonly FlowRow[] {
  return [IPV4, IPV6].flatMap((net) =>
    flowTable(net)
      .filter((group) => group.settings === settings)
      .flatMap(({ name: group, flows }) =>
        flows
          .filter(({ protocol }) => protocol !== 'sctp')
          .map((flow) => ({ net, settings, group, flow })),
      ),
  );
}

/** As the list of differences names it. */
export function nameOf({ group, flow }: FlowRow): string {
  return `${group}: ${flow.name}`;
}
