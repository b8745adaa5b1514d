/** Puts what each line says into etcd, and prints when it began to: milliseconds since the epoch. */
import { createInterface } from 'node:readline';

const url = `${process.argv[2]}/v3/kv/put`;
const encode = (text: string) => Buffer.from(text).toString('base64');

for await (const line of createInterface({ input: process.stdin })) {
  // The shape is the test's.
  const { key, value } = JSON.parse(line) as { key: string; value: string };
  const sentAt = performance.timeOrigin + performance.now();
  const body = JSON.stringify({ key: encode(key), value: encode(value) });
  const answer = await fetch(url, { method: 'POST', body });
  await answer.text();
  console.log(String(sentAt));
}
