// Sends what no wallet should: malformed, oversized and wrong-typed bodies and WebSocket messages, and transactions
// that cannot be right. Each must be refused with the error that the specification names, and change nothing.
//
// Environment: as wallet.mjs; SIDEREAL_RPC is the validating proxy's.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Account, CallData, RpcError, RpcProvider, cairo } from 'starknet';
import { Specification } from './schema.mjs';

const STRK = '0x4718f5a0fc34cc1af16a1cdee98ffb20c31f5cd61d6ab07201858f4287c938d';
const { SIDEREAL_RPC, SIDEREAL_ACCOUNT, SIDEREAL_KEY, SIDEREAL_CONTRACTS, SIDEREAL_OUTPUT } = process.env;
const provider = new RpcProvider({ nodeUrl: SIDEREAL_RPC });
const account = new Account({ provider, address: SIDEREAL_ACCOUNT, signer: SIDEREAL_KEY, cairoVersion: '1' });

async function post(body, headers = {}) {
  const response = await fetch(SIDEREAL_RPC, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-expect-bad-request': 'yes', ...headers },
    body,
  });
  return { status: response.status, text: await response.text() };
}

async function refused(what, body, codes) {
  const { status, text } = await post(typeof body === 'string' ? body : JSON.stringify(body));
  assert.ok(status === 200 || status === 400, `${what}: HTTP ${status} ${text}`);
  const { error } = [JSON.parse(text)].flat()[0];
  assert.ok(error && codes.includes(error.code), `${what}: expected ${codes}, got ${text.slice(0, 300)}`);
  console.log(`bad input: ${what}: ${error.code} ${error.message}`);
}

const request = (method, params) => ({ jsonrpc: '2.0', id: 1, method, params });

// A parse error or an invalid request: JSON-RPC leaves room where the one ends and the other begins.
const NO_REQUEST = [-32700, -32600];

async function notRequests() {
  await refused('no JSON', '{"jsonrpc": "2.0", "method"', NO_REQUEST);
  await refused('nothing', '', NO_REQUEST);
  await refused('a number', '42', NO_REQUEST);
  await refused('an empty batch', '[]', NO_REQUEST);
  await refused('a request without a method', { jsonrpc: '2.0', id: 1 }, NO_REQUEST);
  await refused('another version', { jsonrpc: '1.0', id: 1, method: 'starknet_chainId' }, NO_REQUEST);
  await refused('an unknown method', request('starknet_noSuchMethod', []), [-32601]);
  await refused('deep nesting', `${'['.repeat(100_000)}${']'.repeat(100_000)}`, NO_REQUEST);
}

async function wrongParameters() {
  for (const params of [
    [],
    ['latest'],
    ['latest', 1],
    ['latest', '1'],
    ['latest', '0xzz'],
    ['latest', `0x${'f'.repeat(64)}`],
    [{ block_number: -1 }, '0x1'],
    [{ block_number: 1.5 }, '0x1'],
    [{ block_number: 1e30 }, '0x1'],
    [{ block_number: '1' }, '0x1'],
    [{ block_hash: 7 }, '0x1'],
    [{}, '0x1'],
    [null, '0x1'],
    ['newest', '0x1'],
  ]) {
    await refused(`getNonce ${JSON.stringify(params)}`.slice(0, 80), request('starknet_getNonce', params), [-32602]);
  }
  const filter = (fields) => request('starknet_getEvents', [{ from_block: { block_number: 0 }, to_block: 'latest', ...fields }]);
  await refused('events without a chunk size', filter({}), [-32602]);
  await refused('a chunk of none', filter({ chunk_size: 0 }), [-32602, 31]);
  await refused('a chunk of too many', filter({ chunk_size: 1_000_000_000 }), [31]);
  await refused('a foreign continuation token', filter({ chunk_size: 1, continuation_token: '../../etc' }), [33]);
  await refused('too many keys', filter({ chunk_size: 1, keys: Array.from({ length: 5_000 }, () => ['0x1']) }), [34, -32602]);
  await refused('a transaction of a number', request('starknet_addInvokeTransaction', [7]), [-32602]);
  await refused('a transaction of nothing', request('starknet_addInvokeTransaction', [{}]), [-32602]);
}

async function tooLarge() {
  const response = await fetch(SIDEREAL_RPC, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(request('starknet_call', ['x'.repeat(60 * 1024 * 1024)])),
  });
  const text = await response.text();
  // The server answers 413 and reads no further; who is still sending may see only that the connection ended, and the
  // proxy says so with 502.
  const refusal = response.status === 413 || response.status === 502 || JSON.parse(text).error;
  assert.ok(refusal, `60 MiB: HTTP ${response.status} ${text.slice(0, 200)}`);
  console.log(`bad input: 60 MiB: HTTP ${response.status}`);
}

// jsonrpsee's own code for a message over its limit; JSON-RPC leaves the range to servers.
const TOO_LARGE = -32007;
const ANSWER_LIMIT_MS = 60_000;

// The proxy passes no WebSocket on, so this goes to the gateway itself, and the answers are validated here.
async function openWebSocket() {
  const { target } = await (await fetch(new URL('/report', SIDEREAL_RPC))).json();
  const url = new URL(new URL(SIDEREAL_RPC).pathname, target);
  url.protocol = 'ws:';
  const socket = new WebSocket(url);
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = ({ message }) => reject(new Error(`${url} cannot be opened: ${message}`));
  });
  return socket;
}

// One message out, one answer in: nothing else is under way on the connection, which must not break.
function exchange(socket, what, message) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${what}: no answer over WebSocket`)), ANSWER_LIMIT_MS);
    const broken = (cause) => {
      clearTimeout(timer);
      reject(new Error(`${what}: the WebSocket broke: ${cause}`));
    };
    socket.onerror = (event) => broken(event.message);
    socket.onclose = ({ code, reason }) => broken(`${code} ${reason}`);
    socket.onmessage = ({ data }) => {
      clearTimeout(timer);
      resolve(data);
    };
    socket.send(message);
  });
}

async function overWebSocket() {
  const specification = new Specification(path.join(import.meta.dirname, '../specs/v0.10'));
  const socket = await openWebSocket();
  const fits = (what, problems) => assert.deepEqual(problems, [], `${what} over WebSocket`);

  async function worksStill(what) {
    const call = { ...request('starknet_chainId', []), id: what };
    const response = JSON.parse(await exchange(socket, what, JSON.stringify(call)));
    fits(what, specification.responseProblems(call, response));
    assert.ok(response.result, `after ${what}: ${JSON.stringify(response)}`);
  }

  async function refusedThere(what, message, codes, problems) {
    const [response] = [JSON.parse(await exchange(socket, what, message))].flat();
    fits(what, problems(response));
    assert.ok(codes.includes(response.error?.code), `${what}: expected ${codes}, got ${JSON.stringify(response)}`);
    console.log(`bad input: ${what} over WebSocket: ${response.error.code} ${response.error.message}`);
    await worksStill(what);
  }

  const noRequest = (what, message, codes) =>
    refusedThere(what, message, codes, (response) => specification.refusalProblems(response));
  const wrongRequest = (what, call, codes) =>
    refusedThere(what, JSON.stringify(call), codes, (response) => specification.responseProblems(call, response));

  await worksStill('nothing wrong');
  await noRequest('no JSON', '{"jsonrpc": "2.0", "method"', [-32700]);
  await noRequest('nothing', '', [-32700]);
  await noRequest('a number', '42', NO_REQUEST);
  await noRequest('a method that is a number', JSON.stringify(request(7, [])), NO_REQUEST);
  await noRequest('deep nesting', `${'['.repeat(100_000)}${']'.repeat(100_000)}`, NO_REQUEST);
  await noRequest('bytes that are no text', new Uint8Array([0x00, 0xff, 0xfe, 0x7b]), [-32700]);
  await wrongRequest('getNonce of a number', request('starknet_getNonce', ['latest', 1]), [-32602]);
  await wrongRequest('getNonce of nothing', request('starknet_getNonce', []), [-32602]);
  await wrongRequest('an unknown method', request('starknet_noSuchMethod', []), [-32601]);
  await wrongRequest('a subscription', request('starknet_subscribeNewHeads', {}), [-32601]);
  const tooLong = JSON.stringify(request('starknet_call', ['x'.repeat(8 * 1024 * 1024)]));
  // What is too long is not read, so nobody knows its id.
  await refusedThere('8 MiB', tooLong, [TOO_LARGE], ({ id }) => (id === null ? [] : [`the id is ${id}`]));

  const closed = new Promise((resolve) => {
    socket.onclose = resolve;
  });
  socket.onerror = null;
  socket.close();
  await closed;
}

async function rejects(what, promise, codes) {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof RpcError, `${what}: ${error}`);
    assert.ok(codes.includes(error.code), `${what}: expected ${codes}, got ${error.code}: ${error.message}`);
    console.log(`bad input: ${what}: ${error.code}`);
    return;
  }
  assert.fail(`${what} was accepted`);
}

async function wrongTransactions() {
  const transfer = { contractAddress: STRK, entrypoint: 'transfer', calldata: CallData.compile({ to: '0x77', amount: cairo.uint256(1n) }) };
  const { resourceBounds } = await account.estimateInvokeFee(transfer, { tip: 0n });
  const nonce = BigInt(await account.getNonce('latest'));
  const send = (details) => account.execute(transfer, { tip: 0n, nonce, resourceBounds, ...details });
  const bound = (name, change) => ({ resourceBounds: { ...resourceBounds, [name]: { ...resourceBounds[name], ...change } } });

  await rejects('a nonce of the past', send({ nonce: nonce === 0n ? 1_000_000n : nonce - 1n }), [52]);
  await rejects('a nonce far ahead', send({ nonce: nonce + 1_000_000n }), [52]);
  await rejects('a bound that nobody can pay', send(bound('l2_gas', { max_amount: 10n ** 9n, max_price_per_unit: 2n ** 90n })), [54]);
  await rejects('a bound over the limit', send(bound('l2_gas', { max_amount: 2n ** 60n })), [63]);
  await rejects('a price below the market', send(bound('l2_gas', { max_price_per_unit: 0n })), [53, 54, 55, 64, 65]);
  await rejects('an account that is not there', new Account({ provider, address: '0x1234567', signer: SIDEREAL_KEY, cairoVersion: '1' }).execute(transfer, { tip: 0n, nonce: 0n, resourceBounds }), [20, 52, 54, 55]);

  const artifact = (kind) => JSON.parse(readFileSync(path.join(SIDEREAL_CONTRACTS, `counter.${kind}.json`), 'utf8'));
  const broken = artifact('sierra');
  broken.sierra_program = broken.sierra_program.slice(0, -40);
  await rejects('a class that does not compile', account.declare({ contract: broken, casm: artifact('casm') }, { tip: 0n, nonce, resourceBounds }), [56]);
  const contract = artifact('sierra');
  contract.abi.push({ ...contract.abi.find((entry) => entry.type === 'impl'), name: `Mismatch${Date.now()}` });
  await rejects('another compiled class', account.declare({ contract, compiledClassHash: '0x123' }, { tip: 0n, nonce, resourceBounds }), [60]);
  assert.equal(BigInt(await account.getNonce('latest')), nonce);
}

const before = await provider.getBlockNumber();
await notRequests();
await wrongParameters();
await tooLarge();
await overWebSocket();
await wrongTransactions();
assert.equal(await provider.getBlockNumber(), before, 'what was refused must not make a block');
// And after all of it, the chain works.
const { transaction_hash: hash } = await account.execute({ contractAddress: STRK, entrypoint: 'transfer', calldata: CallData.compile({ to: '0x77', amount: cairo.uint256(1n) }) });
const receipt = await provider.waitForTransaction(hash, { retryInterval: 300 });
assert.equal(receipt.execution_status, 'SUCCEEDED');
writeFileSync(SIDEREAL_OUTPUT, JSON.stringify({ transactions: [hash] }));
