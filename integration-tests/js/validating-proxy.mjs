// Stands between the clients and the gateway, and validates every request and response that passes.
//
//   node validating-proxy.mjs SPECS_FOLDER TARGET_URL
//
// Prints `listening on <port>`. GET /report answers where the gateway is, what passed and what was wrong:
//   { "target": url, "methods": { "<name>": { "results": n, "errors": n } }, "problems": [ { "method", "problem" } ] }
// A client may send what is wrong on purpose (header `x-expect-bad-request`): then only the response counts.
// A gateway that is down, or dies before it has answered in full, is a 502 without JSON: nothing was answered, and
// there is nothing to validate. WebSockets do not pass: who uses one asks for the target, and validates for itself.
import { createServer } from 'node:http';
import { Specification } from './schema.mjs';

const MAX_BODY_BYTES = 64 * 1024 * 1024;
const MAX_PROBLEMS = 50;

const [specsFolder, target] = process.argv.slice(2);
if (!specsFolder || !target) {
  console.error('usage: validating-proxy.mjs SPECS_FOLDER TARGET_URL');
  process.exit(2);
}
const specification = new Specification(specsFolder);
const methods = {};
const problems = [];

function note(method, found) {
  for (const problem of found) {
    if (problems.length < MAX_PROBLEMS) problems.push({ method, problem });
  }
}

function check(request, response, requestCounts) {
  const counts = (methods[request.method] ??= { results: 0, errors: 0 });
  if (response && 'result' in response) counts.results += 1;
  else counts.errors += 1;
  if (requestCounts) note(request.method, specification.requestProblems(request));
  note(request.method, specification.responseProblems(request, response ?? {}));
}

function parsed(text) {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return undefined;
  }
}

function checkExchange(incoming, body, text) {
  const sent = parsed(body);
  const answered = parsed(text);
  const requests = sent && Array.isArray(sent.value) && sent.value.length > 0 ? sent.value : [sent?.value];
  if (!requests.every((request) => typeof request?.method === 'string')) {
    // Not a JSON-RPC request, or a batch with something else in it.
    for (const response of [answered?.value].flat()) note('(no request)', specification.refusalProblems(response));
    return;
  }
  if (!answered) {
    note(requests[0].method, ['the response is not JSON']);
    return;
  }
  const responses = [answered.value].flat();
  const requestCounts = incoming.headers['x-expect-bad-request'] === undefined;
  for (const request of requests) {
    const id = JSON.stringify(request.id);
    check(request, responses.find((response) => JSON.stringify(response.id) === id), requestCounts);
  }
}

async function readBody(stream) {
  const chunks = [];
  let size = 0;
  for await (const chunk of stream) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) throw new Error('the body is larger than the proxy reads');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

const server = createServer(async (incoming, outgoing) => {
  if (incoming.method === 'GET' && incoming.url === '/report') {
    outgoing.setHeader('content-type', 'application/json');
    outgoing.end(JSON.stringify({ target, methods, problems }));
    return;
  }
  try {
    const body = await readBody(incoming);
    const answer = await fetch(new URL(incoming.url, target), {
      method: incoming.method,
      headers: { 'content-type': incoming.headers['content-type'] ?? 'application/json' },
      body: incoming.method === 'POST' ? body : undefined,
    });
    const text = await answer.text();
    if (incoming.method === 'POST' && answer.ok) checkExchange(incoming, body.toString(), text);
    outgoing.statusCode = answer.status;
    outgoing.setHeader('content-type', answer.headers.get('content-type') ?? 'application/json');
    outgoing.end(text);
  } catch (error) {
    outgoing.statusCode = 502;
    outgoing.end(`the proxy could not pass this on: ${error.message}`);
  }
});

// A connection that ended just when somebody used it again would look like a gateway that is down.
server.keepAliveTimeout = 0;
server.listen(0, '127.0.0.1', () => console.log(`listening on ${server.address().port}`));
