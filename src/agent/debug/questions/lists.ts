/** What is there: pods, Services, endpoints, nodes, addresses. */
import { type Fields, parseName, parseNumber, parseSwitch } from '../fields.ts';
import type { WantedAddresses } from '../lists/addresses.ts';
import type { Wanted } from '../lists/names.ts';
import {
  addressesOf,
  endpointsOf,
  nodesOf,
  podsOf,
  serviceOf,
  servicesOf,
} from '../lists/of-agent.ts';
import { DEFAULT_LIMIT, MOST_LIMIT, type PageRequest } from '../lists/page.ts';
import type { DebugRequest } from '../protocol.ts';
import type { Question } from '../question.ts';

export interface PodsRequest extends DebugRequest, Wanted {
  readonly command: 'pods';
}

/** A part of the list; absent fields: from the beginning, of the usual length. */
interface Part {
  readonly after?: string;
  readonly limit?: number;
}

export interface ServicesRequest extends DebugRequest, Wanted, Part {
  readonly command: 'services';
}

export interface ServiceRequest extends DebugRequest, Wanted {
  readonly command: 'service';
  readonly name: string;
}

export interface EndpointsRequest extends DebugRequest, Wanted, Part {
  readonly command: 'endpoints';
  readonly isLeftOutOnly: boolean;
}

export interface NodesRequest extends DebugRequest {
  readonly command: 'nodes';
}

export interface AddressesRequest extends DebugRequest, WantedAddresses, Part {
  readonly command: 'ips';
}

/** Answered with a Listing of ListedPod. */
export const podsQuestion: Question<PodsRequest> = {
  command: 'pods',
  parse: (fields) => ({ command: 'pods', ...parseWanted(fields) }),
  answer: (request, subjects) => podsOf(subjects, request),
};

/** Answered with a Listing of ListedService. */
export const servicesQuestion: Question<ServicesRequest> = {
  command: 'services',
  parse: (fields) => ({ command: 'services', ...parseWanted(fields), ...parsePart(fields) }),
  answer: (request, subjects) => servicesOf(subjects, request, pageOf(request)),
};

/** Answered with a ServiceDetail. */
export const serviceQuestion: Question<ServiceRequest> = {
  command: 'service',
  parse: (fields) => {
    const name = parseName(fields['name'], 'name');
    return { ...parseWanted(fields), command: 'service', name };
  },
  answer: (request, subjects) => serviceOf(subjects, request),
};

/** Answered with a Listing of ListedEndpoint. */
export const endpointsQuestion: Question<EndpointsRequest> = {
  command: 'endpoints',
  parse: (fields) => ({
    ...{ command: 'endpoints', ...parseWanted(fields), ...parsePart(fields) },
    isLeftOutOnly: parseSwitch(fields['isLeftOutOnly'], 'isLeftOutOnly') ?? false,
  }),
  answer: (request, subjects) => endpointsOf(subjects, request, pageOf(request)),
};

/** Answered with a NodesAnswer. */
export const nodesQuestion: Question<NodesRequest> = {
  command: 'nodes',
  parse: () => ({ command: 'nodes' }),
  answer: (_request, subjects) => nodesOf(subjects),
};

/** Answered with a Listing of ListedAddress. */
export const addressesQuestion: Question<AddressesRequest> = {
  command: 'ips',
  parse: (fields) => ({
    ...{ command: 'ips', ...parseWanted(fields), ...parsePart(fields) },
    isHeldOnly: parseSwitch(fields['isHeldOnly'], 'isHeldOnly') ?? false,
  }),
  answer: (request, subjects) => addressesOf(subjects, request, pageOf(request)),
};

function parseWanted({ namespace, name }: Fields): Wanted {
  return {
    ...(namespace === undefined ? {} : { namespace: parseName(namespace, 'namespace') }),
    ...(name === undefined ? {} : { name: parseName(name, 'name') }),
  };
}

function parsePart({ after, limit }: Fields): Part {
  return {
    ...(after === undefined ? {} : { after: parseName(after, 'after') }),
    ...(limit === undefined ? {} : { limit: parseNumber(limit, 'limit') }),
  };
}

function pageOf({ after, limit = DEFAULT_LIMIT }: Part): PageRequest {
  return { after, limit: Math.min(Math.max(limit, 1), MOST_LIMIT) };
}
