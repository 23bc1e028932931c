// Pins down that the validator of the specification is one: each of its schemas compiles, and what the
// specification forbids is found.
import assert from 'node:assert/strict';
import path from 'node:path';
import test from 'node:test';
import { Specification } from './schema.mjs';

const specification = new Specification(process.env.SIDEREAL_SPECS ?? path.join(import.meta.dirname, '../specs/v0.10'));

test('every schema compiles', () => {
  for (const [name, method] of specification.methods) {
    if (!method.result) continue;
    for (const param of method.params) {
      const { name: paramName, schema } = specification.dereference(param);
      specification.validator(`${name}/params/${paramName}`, schema);
    }
    specification.validator(`${name}/result`, specification.dereference(method.result).schema);
  }
  assert.ok(specification.methods.size > 30);
});

const request = (method, params) => ({ jsonrpc: '2.0', id: 1, method, params });
const answer = (content) => ({ jsonrpc: '2.0', id: 1, ...content });

test('what fits passes', () => {
  const call = request('starknet_getNonce', { block_id: 'latest', contract_address: '0x1' });
  assert.deepEqual(specification.requestProblems(call), []);
  assert.deepEqual(specification.responseProblems(call, answer({ result: '0x2a' })), []);
  assert.deepEqual(
    specification.responseProblems(call, answer({ error: { code: 20, message: 'Contract not found' } })),
    [],
  );
});

test('what does not fit is found', () => {
  const call = request('starknet_getNonce', ['latest', '0x1']);
  const problems = (response) => specification.responseProblems(call, response);
  assert.match(problems(answer({ result: '42' }))[0], /pattern/);
  assert.match(problems(answer({ result: '0x01' }))[0], /pattern/);
  assert.match(problems(answer({ error: { code: 25, message: 'Transaction hash not found' } }))[0], /not one/);
  assert.match(problems(answer({ error: { code: 20, message: 'contract not found' } }))[0], /says/);
  assert.match(problems(answer({}))[0], /exactly one/);
  assert.match(problems({ jsonrpc: '2.0', id: 2, result: '0x1' })[0], /another id/);
  assert.match(specification.requestProblems(request('starknet_getNonce', { block_id: 'latest' }))[0], /without/);
  assert.match(specification.requestProblems(request('starknet_getNonce', ['newest', '0x1']))[0], /block_id/);
  const header = request('starknet_getBlockWithTxHashes', ['latest']);
  assert.match(specification.responseProblems(header, answer({ result: { status: 'ACCEPTED_ON_L2' } }))[0], /result/);
});

test('what is no request is refused', () => {
  const refusal = { jsonrpc: '2.0', id: null, error: { code: -32700, message: 'Parse error' } };
  assert.deepEqual(specification.refusalProblems(refusal), []);
  assert.equal(specification.refusalProblems({ ...refusal, result: 1 }).length, 1);
  assert.equal(specification.refusalProblems({ ...refusal, error: { code: 20 } }).length, 1);
  assert.equal(specification.refusalProblems(undefined).length, 1);
});
