/**
 * api-server.ts KUBECONFIG [HOST]: a fake API server inside whatever namespace this runs in. Writes a
 * kubeconfig for it, prints `ready`, then obeys one JSON command per line of stdin:
 * {"put":[plural, object]}, {"delete":[plural, "namespace/name"]}, {"reset":true}; {"created":true}
 * prints what clients have created, {"show":[plural, "namespace/name"]} one object; {"forbid":[plural]}
 * answers 403 to those, {"stop":true} to nobody until {"start":true}; {"skewMs":1000} is another clock;
 * {"hide":[kind, names]} has everybody list anew, without those.
 */
import { createInterface } from 'node:readline';
import { FakeApiServer } from '../fake-api-server.ts';

const [kubeconfig = '', host = '127.0.0.1'] = process.argv.slice(2);
const server = new FakeApiServer({ host });
await server.start();
server.kubeconfig(kubeconfig);
process.stdout.write('ready\n');
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  if (command.put) server.put(command.put[0], command.put[1]);
  if (command.delete) server.delete(command.delete[0], command.delete[1]);
  if (command.reset) server.resetConnections();
  if (command.forbid) {
    server.forbidden = new Set(command.forbid);
    server.resetConnections();
  }
  if (command.hide) {
    const [kind, names] = command.hide;
    server.isListed = (object) => object.kind !== kind || !names.includes(object.metadata.name);
    if (names.length > 0) {
      server.objects.compact();
      server.resetConnections();
    }
  }
  if (command.skewMs) server.skewMs = command.skewMs;
  if (command.stop) await server.stop();
  if (command.start) await server.start();
  if (command.created) process.stdout.write(`${JSON.stringify(server.created)}\n`);
  if (command.show) {
    process.stdout.write(
      `${JSON.stringify(server.objects.get(command.show[0], command.show[1]))}\n`,
    );
  }
  process.stdout.write('done\n');
}
await server.stop();
