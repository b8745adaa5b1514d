/** The flow table as packets: the same rows for every mode, whose rules a proxy makes. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { OpenSession } from '../../../src/proxy/session.ts';
import type { ProxyLab } from '../proxy-lab.ts';
import { type Mode, wantIn } from './differences.ts';
import { type SettingsName, type Want, wantText } from './flow.ts';
import { IPV4, IPV6 } from './net.ts';
import { type FlowResult, packetAnswer, tryFlows } from './probing.ts';
import { nameOf, rowsOf, SETTINGS } from './rows.ts';
import { localAddresses, NODE, SERVICE_CIDRS, settingsOf } from './settings.ts';
import { flowTable } from './table.ts';

const NETS = [IPV4, IPV6];

/** A mode as it can be opened for the node of a lab. */
export interface OpenedMode {
  readonly openSession: OpenSession;
  /** Takes what the mode has made. */
  close(): Promise<void> | void;
}

interface NamedMode {
  readonly mode: Mode;
  /** The mode, and of which variant it is. */
  readonly title: string;
  /** Endpoints come in turn and not by chance: few connections show them all. */
  readonly takesTurns?: boolean;
}

/** Its rules are made from outside of the node's namespace. */
interface SessionMode extends NamedMode {
  open(lab: ProxyLab): Promise<OpenedMode>;
}

/** It has to run in the node's namespace. */
interface ProcessMode extends NamedMode {
  /** Serves the table's groups with these settings; gives what ends it and takes what it has made. */
  serve(lab: ProxyLab, settings: SettingsName): Promise<() => Promise<void>>;
}

export type FlowMode = SessionMode | ProcessMode;

/** Asserts every row, with the mode's deliberate differences. */
export function describeFlows(flowMode: FlowMode, lab: () => ProxyLab): void {
  const { mode, title, takesTurns = false } = flowMode;
  const { serve, close } =
    'serve' in flowMode ? { ...flowMode, close: () => {} } : servingBySessions(flowMode);
  describe(title, () => {
    afterAll(close);

    describe.each(SETTINGS)('%s', (settings) => {
      const rows = rowsOf(settings).map((row) => ({
        ...row,
        title: `IPv${row.net.family}, ${nameOf(row)}`,
        flow: { ...row.flow, want: wantIn(mode, row) },
      }));
      let results: readonly FlowResult[];

      beforeAll(async () => {
        const end = await serve(lab(), settings);
        lab().forgetFlows();
        results = await tryFlows(lab(), rows, { takesTurns });
        await end();
      });

      test.each(rows.map((row, i) => ({ ...row, i })))('$title', (row) => {
        const answer = packetAnswer(results[row.i] ?? {}, row);
        expect(wordsOf(answer)).toBe(wordsOf(packetWant(row.flow.want)));
      });
    });
  });
}

/** Opened once: the rules of some settings become those of the next, as on a node. */
function servingBySessions({ open }: SessionMode) {
  let opened: OpenedMode | undefined;
  return {
    serve: async (lab: ProxyLab, settings: SettingsName) => {
      opened ??= await open(lab);
      return startProxies(lab, opened.openSession, settings);
    },
    close: async () => {
      await opened?.close();
    },
  };
}

/** Nobody but Services listens on the ports that the flows visit: what passes by is refused. */
function packetWant(want: Want): Want {
  return want === 'pass' ? 'reject' : want;
}

function wordsOf(answer: Want | string): string {
  return typeof answer === 'string' ? answer : wantText(answer);
}

/** Proxies, one per family: Services of both have the same names. Gives what stops them. */
async function startProxies(
  lab: ProxyLab,
  openSession: OpenSession,
  settings: SettingsName,
): Promise<() => Promise<void>> {
  const { hasNodeObjects, ...options } = settingsOf(settings);
  const proxies = await Promise.all(
    NETS.map(async (net) => {
      const proxy = lab.proxy({
        ...options,
        families: [net.family],
        hasNodeObjects: () => hasNodeObjects,
        localAddresses: () => localAddresses(net),
        openSession,
      });
      proxy.apply({ kind: 'node', now: NODE });
      proxy.apply({ kind: 'serviceCIDRs', cidrs: SERVICE_CIDRS });
      for (const { services, slices } of flowTable(net).filter(
        (group) => group.settings === settings,
      )) {
        for (const object of services) proxy.apply({ kind: 'service', now: object });
        for (const object of slices) proxy.apply({ kind: 'slice', now: object });
      }
      proxy.setSynced();
      await proxy.sync();
      return proxy;
    }),
  );
  return async () => {
    for (const proxy of proxies) await proxy.stop();
  };
}
