// Transfers by starknet.js that are waited for until L1 holds them.
//
// Environment: SIDEREAL_RPC (endpoint), SIDEREAL_ACCOUNT and SIDEREAL_KEY (a funded account), SIDEREAL_TRANSFERS (how
// many, each in a block of its own), SIDEREAL_OUTPUT (a file), SIDEREAL_LIMIT_S (how long to wait for L1).
// Writes to SIDEREAL_OUTPUT: { "transactions": [hash, …] }, all of them accepted on L1; before that, once all are
// accepted on L2, the same to SIDEREAL_OUTPUT.l2. Any surprise is an assertion, and ends the process with status 1.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { Account, CallData, ETransactionVersion, RpcProvider, cairo, num } from 'starknet';

const STRK = '0x4718f5a0fc34cc1af16a1cdee98ffb20c31f5cd61d6ab07201858f4287c938d';

function required(name) {
  const value = process.env[name];
  if (!value) throw new Error(`set ${name}`);
  return value;
}

const provider = new RpcProvider({ nodeUrl: required('SIDEREAL_RPC') });
const account = new Account({
  provider,
  address: required('SIDEREAL_ACCOUNT'),
  signer: required('SIDEREAL_KEY'),
});
const output = required('SIDEREAL_OUTPUT');
const transactions = [];
const blocks = [];
for (let sent = 0; sent < Number(required('SIDEREAL_TRANSFERS')); sent += 1) {
  const { transaction_hash: hash } = await account.execute(
    {
      contractAddress: STRK,
      entrypoint: 'transfer',
      calldata: CallData.compile({ recipient: '0x5e77', amount: cairo.uint256(1_000n + BigInt(sent)) }),
    },
    { version: ETransactionVersion.V3 },
  );
  const receipt = await provider.waitForTransaction(hash, {
    retryInterval: 500,
    lifeCycleRetries: 600,
    successStates: ['ACCEPTED_ON_L2', 'ACCEPTED_ON_L1'],
  });
  assert.equal(receipt.execution_status, 'SUCCEEDED', JSON.stringify(receipt.revert_reason));
  transactions.push(num.toHex(hash));
  blocks.push(receipt.block_number);
  console.log(`${hash} is in block ${receipt.block_number}`);
}
assert.equal(new Set(blocks).size, blocks.length, 'each transfer is in a block of its own');
writeFileSync(`${output}.l2`, JSON.stringify({ transactions }));

const deadline = Date.now() + 1_000 * Number(required('SIDEREAL_LIMIT_S'));
for (const [index, hash] of transactions.entries()) {
  for (;;) {
    const { finality_status: finality, execution_status: execution } = await provider.getTransactionStatus(hash);
    assert.equal(execution, 'SUCCEEDED');
    if (finality === 'ACCEPTED_ON_L1') break;
    assert.equal(finality, 'ACCEPTED_ON_L2');
    assert.ok(Date.now() < deadline, `${hash} is not accepted on L1 in time`);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
  const receipt = await provider.getTransactionReceipt(hash);
  assert.equal(receipt.finality_status, 'ACCEPTED_ON_L1');
  const block = await provider.getBlockWithTxHashes(blocks[index]);
  assert.equal(block.status, 'ACCEPTED_ON_L1');
  const last = await provider.getBlockWithTxHashes('l1_accepted');
  assert.equal(last.status, 'ACCEPTED_ON_L1');
  assert.ok(last.block_number >= blocks[index]);
  console.log(`${hash} is accepted on L1`);
}
writeFileSync(output, JSON.stringify({ transactions }));
