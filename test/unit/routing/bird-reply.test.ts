import { expect, test } from 'vitest';
import { parseReply, parseSessions, refusalOf } from '../../../src/routing/bird-reply.ts';

const REPLY = `2002-Name       Proto      Table      State  Since         Info
1002-device1    Device     ---        up     11:18:29.329  
1006-
1002-node4_0480 BGP        ---        up     11:18:29.329  Established   
1006-  Description:    node n2
   BGP state:          Established
     Neighbor address: 192.0.2.2
   Channel ipv4
     State:          UP
     Routes:         1 imported, 2 filtered, 3 exported, 1 preferred
 
1002-peer_bd14  BGP        ---        start  11:18:29.329  Active        Socket: Connection refused
1006-  Description:    router rack
   BGP state:          Active
     Neighbor address: 192.0.2.254
   Last error:       Socket: Connection refused
 
1002-peer_off   BGP        ---        down   11:18:29.329  
1006-
 
0000 
`;

test('sessions of an answer', () => {
  const lines = parseReply(REPLY);
  expect(parseSessions(lines ?? [])).toEqual([
    { symbol: 'node4_0480', state: 'Established', lastError: '', imported: 1, exported: 3 },
    {
      ...{ symbol: 'peer_bd14', state: 'Active', lastError: 'Socket: Connection refused' },
      ...{ imported: 0, exported: 0 },
    },
    { symbol: 'peer_off', state: 'down', lastError: '', imported: 0, exported: 0 },
  ]);
});

test('an answer is whole with its last line', () => {
  expect(parseReply('')).toBeUndefined();
  expect(parseReply(REPLY.slice(0, -6))).toBeUndefined();
  expect(parseReply('0001 BIRD 2.0.12 ready.')).toBeUndefined();
  expect(parseReply('0001 BIRD 2.0.12 ready.\n')).toEqual([
    { code: 1, text: 'BIRD 2.0.12 ready.' },
  ]);
});

test.each([
  ['0002-Reading configuration from x\n0020 Configuration OK\n', undefined],
  ['0002-Reading configuration from x\n8002 x:3:1 syntax error\n', 'x:3:1 syntax error'],
  ['9001 syntax error, unexpected CF_SYM_UNDEFINED\n', 'syntax error, unexpected CF_SYM_UNDEFINED'],
])('what %j refuses', (text, refusal) => {
  expect(refusalOf(parseReply(text) ?? [])).toBe(refusal);
});
