/**
 * control-plane.ts DIRECTORY COUNT ADDRESS NAME: fake API servers of one cluster that listen on ADDRESS
 * and have NAME (`IP:10.96.0.1`) in their certificates too. They want the token `of-the-service-account`.
 * Writes `kubeconfig-0`, ... as a kubelet has it, with credentials of its own, and `ca.crt`; prints
 * `ready` and the ports. Commands, one JSON a line: {"put":[plural, object]} for all, {"stop":0}.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { createAuthority } from '../certificates.ts';
import { FakeApiServer } from '../fake-api-server.ts';

const [directory = '', count = '', host = '', name = ''] = process.argv.slice(2);
const authority = createAuthority();
const authorization = 'Bearer of-the-service-account';
const servers = Array.from(
  { length: Number(count) },
  () => new FakeApiServer({ authority, authorization, host, names: [name] }),
);
for (const [index, server] of servers.entries()) {
  await server.start();
  const { certificate, key } = authority.issue('system:node:node-a');
  const data = (pem: string) => Buffer.from(pem).toString('base64');
  server.kubeconfig(join(directory, `kubeconfig-${index}`), {
    token: 'of-the-kubelet',
    'client-certificate-data': data(certificate),
    'client-key-data': data(key),
  });
}
writeFileSync(join(directory, 'ca.crt'), authority.certificate);
const ports = servers.map(({ url }) => new URL(url).port);
process.stdout.write(`ready ${ports.join(' ')}\n`);
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  if (command.put) for (const server of servers) server.put(command.put[0], command.put[1]);
  if (command.stop !== undefined) await servers[command.stop]?.stop();
}
for (const server of servers) await server.stop();
