import type { UiPeer, UiPod, UiService, UiSnapshot } from '../agent/page/snapshot.ts';
import { Connections } from './connections.ts';
import type { Ends } from './explain-box.ts';
import { html } from './html.ts';
import { Mark } from './marks.ts';
import type { Selection } from './search.ts';
import { peerState, rateWords, type State, serviceState } from './words.ts';

interface DetailsProps {
  readonly snapshot: UiSnapshot;
  readonly selected: Selection | undefined;
  readonly ends: Ends;
  readonly onSelect: (selection: Selection | undefined) => void;
  readonly onEnds: (ends: Ends) => void;
}

type Fact = readonly [term: string, values: readonly string[]];

interface Described {
  readonly what: string;
  readonly state: State | undefined;
  readonly facts: readonly Fact[];
  /** What `explain` is asked with. */
  readonly asSource: string | undefined;
  readonly asTarget: string | undefined;
}

export function Details({ snapshot, selected, ends, onSelect, onEnds }: DetailsProps) {
  const described = selected && describe(snapshot, selected);
  if (selected === undefined || described === undefined) return html`<${Legend} />`;
  const { what, state, facts, asSource, asTarget } = described;
  return html`
    <section class="details" aria-labelledby="details-title">
      <div class="details-head">
        <p class="what">${what}</p>
        <button type="button" class="plain" onClick=${() => onSelect(undefined)} aria-label="Close the details">Close</button>
      </div>
      <h2 id="details-title">${selected.key}</h2>
      ${state !== undefined && html`<p class=${`state ${state.tone}`}><${Mark} tone=${state.tone} />${state.words}</p>`}
      <dl>
        ${facts.map(
          ([term, values]) =>
            values.length > 0 &&
            html`
          <div key=${term}><dt>${term}</dt>${values.map((value) => html`<dd key=${value}>${value}</dd>`)}</div>`,
        )}
      </dl>
      <div class="actions">
        ${asSource !== undefined && html`<button type="button" onClick=${() => onEnds({ ...ends, from: asSource })}>From here</button>`}
        ${asTarget !== undefined && html`<button type="button" onClick=${() => onEnds({ ...ends, to: asTarget })}>To here</button>`}
      </div>
      ${isFollowed(selected) && html`<${Connections} key=${selected.key} kind=${selected.kind} name=${selected.key} />`}
    </section>`;
}

/** Flows are told of pods by name, and of Services. */
function isFollowed({ kind, key }: Selection): boolean {
  return kind === 'service' || (kind === 'pod' && !key.startsWith('container/'));
}

function Legend() {
  return html`
    <section class="details legend" aria-labelledby="details-title">
      <h2 id="details-title">On the map</h2>
      <ul>
        <li><svg viewBox="0 0 34 12" width="34" height="12" aria-hidden="true"><path class="edge direct well" d="M1 6H33" /></svg>same link</li>
        <li><svg viewBox="0 0 34 12" width="34" height="12" aria-hidden="true"><path class="edge tunnel well" d="M1 6H33" /></svg>VXLAN</li>
        <li><svg viewBox="0 0 34 12" width="34" height="12" aria-hidden="true"><circle class="dot here" cx="17" cy="6" r="4" /></svg>endpoint here</li>
        <li><svg viewBox="0 0 34 12" width="34" height="12" aria-hidden="true"><circle class="dot there" cx="17" cy="6" r="4" /></svg>elsewhere</li>
        <li><svg viewBox="0 0 34 12" width="34" height="12" aria-hidden="true"><path class="edge denied bad strong" d="M1 6H33" /></svg>denied now</li>
      </ul>
      <p>Select a pod, a Service or a node to see more.</p>
    </section>`;
}

function describe(snapshot: UiSnapshot, { kind, key }: Selection): Described | undefined {
  switch (kind) {
    case 'pod': {
      const pod = snapshot.pods.find((each) => each.key === key);
      return pod && describePod(pod, snapshot);
    }
    case 'service': {
      const service = snapshot.services.find((each) => each.key === key);
      return service && describeService(service);
    }
    case 'node': {
      const peer = snapshot.peers.find((each) => each.key === key);
      return peer && describePeer(peer);
    }
  }
}

function describePod({ key, addresses, veth, bridge }: UiPod, { services }: UiSnapshot): Described {
  const own = services.filter(({ endpoints }) =>
    endpoints.some(({ address }) => addresses.includes(address)),
  );
  const isNamed = !key.startsWith('container/');
  const name = isNamed ? key : addresses[0];
  return {
    ...{ what: 'Pod', state: undefined, asSource: name, asTarget: name },
    facts: [
      ['Addresses', addresses],
      ['Link', veth === undefined ? [] : [bridge === undefined ? veth : `${veth} on ${bridge}`]],
      ['Serves', own.map((service) => service.key)],
    ],
  };
}

function describeService(service: UiService): Described {
  const { key, addresses, ports, endpoints, endpointCount, perSecond, refusedPerSecond } = service;
  const first = ports[0];
  const rest = endpointCount - endpoints.length;
  return {
    what: 'Service',
    state: serviceState(service),
    facts: [
      ['Addresses', addresses],
      [
        'Ports',
        ports.map(({ name, protocol, port, nodePort }) =>
          [name, `${port}/${protocol}`, nodePort === 0 ? '' : `NodePort ${nodePort}`]
            .filter(Boolean)
            .join(' '),
        ),
      ],
      ['New connections', perSecond === undefined ? [] : [rateWords(perSecond)]],
      ['Refused packets', refusedPerSecond === undefined ? [] : [rateWords(refusedPerSecond)]],
      [
        'Endpoints',
        [
          ...endpoints.map(
            ({ address, state, isLocal, node }) =>
              `${address}${state === 'serving' ? '' : ` ${state}`}, ${isLocal ? 'this node' : (node ?? 'elsewhere')}`,
          ),
          ...(rest > 0 ? [`and ${rest} more`] : []),
        ],
      ],
    ],
    asSource: undefined,
    asTarget:
      first === undefined ? undefined : `${key}:${first.name === '' ? first.port : first.name}`,
  };
}

function describePeer(peer: UiPeer): Described {
  const { addresses, podCIDRs, mtu, roundTripMs, problems } = peer;
  return {
    what: 'Node',
    state: peerState(peer),
    facts: [
      ['Addresses', addresses],
      ['Pods', podCIDRs],
      [
        'Path',
        [
          ...(mtu === undefined ? [] : [`${mtu} bytes arrive`]),
          ...(roundTripMs === undefined ? [] : [`${roundTripMs} ms there and back`]),
        ],
      ],
      ['Wrong', problems],
    ],
    asSource: addresses[0],
    asTarget: addresses[0],
  };
}
