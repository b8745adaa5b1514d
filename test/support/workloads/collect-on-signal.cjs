// Loaded before an agent: SIGUSR2 collects all garbage, twice for what finalizers free, gives empty pages
// back, and says so.
const { setFlagsFromString } = require('node:v8');
const { runInNewContext } = require('node:vm');

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc');
const EVERYTHING = { type: 'major', execution: 'sync', flavor: 'last-resort' };
process.on('SIGUSR2', () => {
  collect(EVERYTHING);
  setImmediate(() => {
    collect(EVERYTHING);
    process.stdout.write('collected\n');
  });
});
