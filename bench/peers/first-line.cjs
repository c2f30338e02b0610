'use strict';
// Serves, and prints when its first line ran and when it listened: milliseconds after its process began, and the CPU milliseconds that took.
const took = () => {
  const { user, system } = process.cpuUsage();
  return `${performance.now()} ${(user + system) / 1_000}`;
};
const firstLine = took();
require('node:http')
  .createServer((request, response) => response.end('hello\n'))
  .listen(Number(process.env.PORT), () => console.log(`first line ${firstLine} listening ${took()}`));
