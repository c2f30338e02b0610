'use strict';
// Serves, and prints when its first line ran: milliseconds after its process began, and the CPU milliseconds that took.
const firstLineMs = performance.now();
const { user, system } = process.cpuUsage();
require('node:http')
  .createServer((request, response) => response.end('hello\n'))
  .listen(Number(process.env.PORT), () => console.log(`first line ${firstLineMs} ${(user + system) / 1_000}`));
