// What a wallet built on starknet.js does: declare, deploy, invoke, multicall, call, estimate, read, wait.
//
// Environment: SIDEREAL_RPC (endpoint), SIDEREAL_ACCOUNT and SIDEREAL_KEY (a funded account), SIDEREAL_CONTRACTS
// (the folder of the compiled contracts), SIDEREAL_OUTPUT (a file).
// Writes to SIDEREAL_OUTPUT: { "transactions": [hash, …] }, all of them accepted on L2. Any surprise is an
// assertion, and ends the process with status 1.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import {
  Account,
  CallData,
  Contract,
  ETransactionVersion,
  RpcError,
  RpcProvider,
  cairo,
  ec,
  hash,
  num,
  stark,
} from 'starknet';

const STRK = '0x4718f5a0fc34cc1af16a1cdee98ffb20c31f5cd61d6ab07201858f4287c938d';
const WAIT = { retryInterval: 500, lifeCycleRetries: 600 };

function required(name) {
  const value = process.env[name];
  if (!value) throw new Error(`set ${name}`);
  return value;
}

const contractsFolder = required('SIDEREAL_CONTRACTS');
const artifact = (name, kind) => JSON.parse(readFileSync(path.join(contractsFolder, `${name}.${kind}.json`), 'utf8'));
const same = (left, right) => assert.equal(num.toHex64(left), num.toHex64(right));

const transactions = [];
const provider = new RpcProvider({ nodeUrl: required('SIDEREAL_RPC') });
const account = new Account({
  provider,
  address: required('SIDEREAL_ACCOUNT'),
  signer: required('SIDEREAL_KEY'),
});

function step(text) {
  console.log(`starknet.js: ${text}`);
}

async function accepted(transactionHash) {
  const receipt = await provider.waitForTransaction(transactionHash, {
    ...WAIT,
    successStates: ['ACCEPTED_ON_L2', 'ACCEPTED_ON_L1'],
  });
  transactions.push(num.toHex(transactionHash));
  return receipt;
}

async function succeeded(transactionHash) {
  const receipt = await accepted(transactionHash);
  assert.equal(receipt.execution_status, 'SUCCEEDED', JSON.stringify(receipt.revert_reason));
  return receipt;
}

async function rejects(promise, code) {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof RpcError, String(error));
    assert.equal(error.code, code, error.message);
    return true;
  });
}

async function readTheChain() {
  step('reading the chain');
  assert.match(await provider.getSpecVersion(), /^0\.10\./);
  const chainId = await provider.getChainId();
  assert.match(chainId, /^0x[0-9a-f]+$/);
  const { block_hash: blockHash, block_number: number } = await provider.getBlockLatestAccepted();
  const block = await provider.getBlockWithTxHashes(number);
  same(block.block_hash, blockHash);
  assert.equal(block.starknet_version, '0.13.5');
  if (number > 0) {
    const parent = await provider.getBlockWithTxHashes(number - 1);
    same(block.parent_hash, parent.block_hash);
  }
  assert.equal(await provider.getSyncingStats(), false);
}

async function declareAndDeploy() {
  step('declaring the counter');
  const contract = artifact('counter', 'sierra');
  // The genesis block may have declared the counter. Another ABI makes another class, which nobody has declared.
  contract.abi.push({ ...contract.abi.find((entry) => entry.type === 'impl'), name: `DeclaredAt${Date.now()}` });
  const casm = artifact('counter', 'casm');
  const declared = await account.declareIfNot({ contract, casm });
  same(declared.class_hash, hash.computeSierraContractClassHash(contract));
  await succeeded(declared.transaction_hash);
  const stored = await provider.getClassByHash(declared.class_hash);
  assert.deepEqual(stored.sierra_program, contract.sierra_program);

  step('deploying the counter through the universal deployer');
  const deployed = await account.deployContract(
    { classHash: declared.class_hash, constructorCalldata: CallData.compile({ initial: 40n }) },
    { ...WAIT },
  );
  await succeeded(deployed.transaction_hash);
  same(await provider.getClassHashAt(deployed.contract_address), declared.class_hash);
  return new Contract({ abi: contract.abi, address: deployed.contract_address, providerOrAccount: account });
}

async function invokeAndCall(counter) {
  step('estimating and invoking');
  assert.equal(await counter.get(), 40n);
  const increment = counter.populate('increment', []);
  const estimate = await account.estimateInvokeFee(increment);
  assert.ok(BigInt(estimate.overall_fee) > 0n);
  const { transaction_hash: invoked } = await account.execute(increment);
  const receipt = await succeeded(invoked);
  assert.ok(BigInt(receipt.actual_fee.amount) > 0n);
  assert.equal(receipt.actual_fee.unit, 'FRI');
  assert.equal(await counter.get(), 41n);

  step('a multicall');
  const { transaction_hash: multicall } = await account.execute([
    counter.populate('increment_by', [100n]),
    counter.populate('increment', []),
    { contractAddress: STRK, entrypoint: 'transfer', calldata: CallData.compile({ to: '0x5afe', amount: cairo.uint256(7n) }) },
  ]);
  const multicallReceipt = await succeeded(multicall);
  assert.equal(await counter.get(), 142n);
  const parsed = counter.parseEvents(multicallReceipt);
  assert.equal(parsed.length, 2);

  const transaction = await provider.getTransactionByHash(multicall);
  assert.equal(transaction.type, 'INVOKE');
  assert.equal(transaction.version, ETransactionVersion.V3);
  same(transaction.sender_address, account.address);
  const byIndex = await provider.getTransactionByBlockIdAndIndex(multicallReceipt.block_number, 0);
  assert.ok(byIndex.transaction_hash);
  const status = await provider.getTransactionStatus(multicall);
  assert.ok(['ACCEPTED_ON_L2', 'ACCEPTED_ON_L1'].includes(status.finality_status));
  assert.equal(status.execution_status, 'SUCCEEDED');
  return { multicall, blockNumber: multicallReceipt.block_number };
}

async function readStateAndEvents(counter, { multicall, blockNumber }) {
  step('reading state, blocks and events');
  const key = num.toHex(hash.starknetKeccak('value'));
  // The library wraps the value.
  const stored = (answer) => BigInt(answer.value ?? answer);
  assert.equal(stored(await provider.getStorageAt(counter.address, key, 'latest')), 142n);
  assert.equal(stored(await provider.getStorageAt(counter.address, key, blockNumber - 1)), 41n);

  const withReceipts = await provider.getBlockWithReceipts(blockNumber);
  const inBlock = withReceipts.transactions.find((entry) => BigInt(entry.receipt.transaction_hash) === BigInt(multicall));
  assert.ok(inBlock, 'the block holds the transaction');
  const withTransactions = await provider.getBlockWithTxs(blockNumber);
  assert.equal(withTransactions.transactions.length, withReceipts.transactions.length);
  const update = await provider.getBlockStateUpdate(blockNumber);
  same(update.block_hash, withReceipts.block_hash);
  same(update.new_root, withReceipts.new_root);
  const changed = update.state_diff.storage_diffs.find((diff) => BigInt(diff.address) === BigInt(counter.address));
  assert.equal(BigInt(changed.storage_entries[0].value), 142n);

  const changedKey = num.toHex(hash.starknetKeccak('Changed'));
  const filter = {
    address: counter.address,
    from_block: { block_number: 0 },
    to_block: 'latest',
    keys: [[changedKey]],
    chunk_size: 1,
  };
  const values = [];
  let continuation_token;
  do {
    const chunk = await provider.getEvents({ ...filter, continuation_token });
    assert.ok(chunk.events.length <= 1);
    values.push(...chunk.events.map((event) => BigInt(event.data[0])));
    continuation_token = chunk.continuation_token;
  } while (continuation_token);
  assert.deepEqual(values, [41n, 141n, 142n]);

  const strk = new Contract({ abi: artifact('erc20', 'sierra').abi, address: STRK, providerOrAccount: provider });
  assert.ok((await strk.balance_of('0x5afe')) >= 7n);
  assert.ok((await strk.balanceOf(account.address)) > 0n);
}

async function deployAnAccount() {
  step('deploying an account');
  const key = stark.randomAddress();
  const publicKey = ec.starkCurve.getStarkKey(key);
  const classHash = await provider.getClassHashAt(account.address);
  const constructorCalldata = CallData.compile({ public_key: publicKey });
  const address = hash.calculateContractAddressFromHash(publicKey, classHash, constructorCalldata, 0);
  const { transaction_hash: funding } = await account.execute({
    contractAddress: STRK,
    entrypoint: 'transfer',
    calldata: CallData.compile({ to: address, amount: cairo.uint256(10n ** 19n) }),
  });
  await succeeded(funding);
  const fresh = new Account({ provider, address, signer: key });
  const { transaction_hash: deployment, contract_address: deployed } = await fresh.deployAccount({
    classHash,
    constructorCalldata,
    addressSalt: publicKey,
  });
  same(deployed, address);
  await succeeded(deployment);
  assert.equal(BigInt(await fresh.getNonce()), 1n);

  const { transaction_hash: transfer } = await fresh.execute({
    contractAddress: STRK,
    entrypoint: 'transfer',
    calldata: CallData.compile({ to: account.address, amount: cairo.uint256(1n) }),
  });
  await succeeded(transfer);
  assert.equal(BigInt(await fresh.getNonce()), 2n);
}

async function readWhatIsPreConfirmed() {
  step('sending without waiting for blocks');
  const eager = new RpcProvider({ nodeUrl: required('SIDEREAL_RPC'), blockIdentifier: 'pre_confirmed' });
  const sender = new Account({ provider: eager, address: account.address, signer: required('SIDEREAL_KEY') });
  const to = stark.randomAddress();
  const transfer = {
    contractAddress: STRK,
    entrypoint: 'transfer',
    calldata: CallData.compile({ to, amount: cairo.uint256(5n) }),
  };
  const sent = [];
  for (let count = 1n; count <= 4n; count += 1n) {
    // Nonce and estimate are those after the one before, which no closed block need hold.
    const { transaction_hash: hash } = await sender.execute(transfer);
    await eager.waitForTransaction(hash, {
      ...WAIT,
      retryInterval: 50,
      successStates: ['PRE_CONFIRMED', 'ACCEPTED_ON_L2', 'ACCEPTED_ON_L1'],
    });
    sent.push(hash);
    const call = { contractAddress: STRK, entrypoint: 'balance_of', calldata: [to] };
    const [balance] = await eager.callContract(call);
    assert.equal(BigInt(balance), 5n * count);
  }
  const update = await eager.getStateUpdate();
  assert.ok(update.state_diff.storage_diffs);
  for (const hash of sent) await succeeded(hash);
}

async function whatFails(counter) {
  step('what fails');
  const tooMuch = counter.populate('decrement_by', [10n ** 9n]);
  // What an estimate cannot execute has no fee; with bounds of its own the transaction is charged, and reverts.
  await rejects(account.estimateInvokeFee(tooMuch), 41);
  const { resourceBounds } = await account.estimateInvokeFee(counter.populate('increment', []));
  const { transaction_hash: reverting } = await account.execute(tooMuch, { resourceBounds });
  const receipt = await accepted(reverting);
  assert.equal(receipt.execution_status, 'REVERTED');
  assert.match(receipt.revert_reason, /counter: below zero|0x636f756e7465723a2062656c6f77207a65726f/);
  assert.ok(BigInt(receipt.actual_fee.amount) > 0n);
  assert.equal(await counter.get(), 142n);

  const stranger = new Account({ provider, address: account.address, signer: stark.randomAddress() });
  await rejects(stranger.execute(counter.populate('increment', []), { resourceBounds, tip: 0n }), 55);
  const nonce = BigInt(await account.getNonce());
  await rejects(account.execute(counter.populate('increment', []), { resourceBounds, tip: 0n, nonce: nonce - 1n }), 52);
  await rejects(provider.getTransactionReceipt('0x1234'), 29);
  await rejects(provider.getBlockWithTxHashes(10_000_000), 24);
  await rejects(provider.getClassHashAt('0x1234567'), 20);
  await rejects(provider.callContract({ contractAddress: counter.address, entrypoint: 'no_such_entry_point' }), 21);
  assert.equal(await counter.get(), 142n);
}

await readTheChain();
const counter = await declareAndDeploy();
const sent = await invokeAndCall(counter);
await readStateAndEvents(counter, sent);
await deployAnAccount();
await readWhatIsPreConfirmed();
await whatFails(counter);
writeFileSync(required('SIDEREAL_OUTPUT'), JSON.stringify({ transactions }));
step(`done: ${transactions.length} transactions`);
