'use strict';
// The app that every contender runs: the least a server can do.
require('node:http')
  .createServer((request, response) => response.end('hello\n'))
  .listen(Number(process.env.PORT), () => console.log(`listening ${process.env.PORT}`));
