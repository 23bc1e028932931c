// Sends what no wallet should: malformed, oversized and wrong-typed bodies, and transactions that cannot be right. Each
// must be refused with the error that the specification names, and change nothing.
//
// Environment: as wallet.mjs.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Account, CallData, RpcError, RpcProvider, cairo } from 'starknet';

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
await wrongTransactions();
assert.equal(await provider.getBlockNumber(), before, 'what was refused must not make a block');
// And after all of it, the chain works.
const { transaction_hash: hash } = await account.execute({ contractAddress: STRK, entrypoint: 'transfer', calldata: CallData.compile({ to: '0x77', amount: cairo.uint256(1n) }) });
const receipt = await provider.waitForTransaction(hash, { retryInterval: 300 });
assert.equal(receipt.execution_status, 'SUCCEEDED');
writeFileSync(SIDEREAL_OUTPUT, JSON.stringify({ transactions: [hash] }));
