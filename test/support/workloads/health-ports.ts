/** health-ports.ts PORT...: answers 200 on these ports of all addresses, as kube-proxy does; prints `ready`. */
import { once } from 'node:events';
import { createServer } from 'node:http';

for (const port of process.argv.slice(2)) {
  const server = createServer((_request, response) => response.end('ok')).listen(Number(port));
  await once(server, 'listening');
}
process.stdout.write('ready\n');
