/**
 * A plain HTTP server, as one writes it for a single process: nothing in it knows of covet-pm. It answers with its pid, so that one
 * sees who served; /slow takes three seconds, to watch a reload wait for it.
 *
 *     covet-pm start examples/http/app.js --name hello -i max
 */
import { createServer } from 'node:http';

const port = Number(process.env.PORT ?? 3000);

const server = createServer((request, response) => {
  const answer = () => response.end(`Hello from ${process.pid}\n`);
  if (request.url === '/slow') setTimeout(answer, 3_000);
  else answer();
});

server.listen(port, () => console.log(`listening on ${port}`));
