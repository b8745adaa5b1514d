import { EventEmitter } from 'node:events';
import { expect, test } from 'vitest';
import { logProcessWarnings } from '../../../src/agent/process-warnings.ts';
import { recordingLog } from '../../support/kube.ts';

test('a warning becomes a line of the log, and nobody else prints it', () => {
  const process = new EventEmitter();
  const printed: unknown[] = [];
  process.on('warning', (warning) => printed.push(warning));
  const { log, records } = recordingLog();
  logProcessWarnings(process, log);
  process.emit('warning', new Error('Keys with collection values will be stringified'));
  expect(printed).toEqual([]);
  expect(records).toMatchObject([
    { level: 'warn', reason: 'Keys with collection values will be stringified' },
  ]);
});
