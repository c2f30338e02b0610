/** A plain HTTP server; nothing in it knows of covet-pm or of containers. Its log is JSON lines already, which stay what they are. */
import { createServer } from 'node:http';

const port = Number(process.env.PORT ?? 3000);

const server = createServer((request, response) => {
  response.setHeader('content-type', 'text/plain');
  response.end(`Hello from ${process.pid}\n`);
});

server.listen(port, () => console.log(JSON.stringify({ level: 'info', msg: `listening on ${port}` })));
