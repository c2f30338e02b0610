'use strict';
// Serves; /write?lines=N writes N numbered lines of 120 bytes to stdout as fast as it is let, then answers.
const LINE_BYTES = 120;
const BATCH = 500;
const tag = process.env.NODE_APP_INSTANCE ?? '0';
const padding = 'x'.repeat(LINE_BYTES);
require('node:http')
  .createServer((request, response) => {
    const lines = Number(new URL(request.url, 'http://any').searchParams.get('lines') ?? 0);
    let next = 0;
    const more = () => {
      if (next === lines) return response.end(`${lines}\n`);
      let text = '';
      for (const end = Math.min(next + BATCH, lines); next < end; next++)
        text += `${`${tag} ${next} ${padding}`.slice(0, LINE_BYTES - 1)}\n`;
      process.stdout.write(text, more);
    };
    more();
  })
  .listen(Number(process.env.PORT));
