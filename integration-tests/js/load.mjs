// Sends transfers until it is told to stop, through whatever happens to the servers, and writes down every
// transaction that the chain took.
//
// Environment: SIDEREAL_RPC, SIDEREAL_ACCOUNTS (JSON: [{ "address", "key" }]), SIDEREAL_OUTPUT (a file),
// SIDEREAL_STOP (a file: when it exists, the load ends), SIDEREAL_INTERVAL_MS (between two transfers of an account).
//
// Each account sends one transfer of 1 to an address of its own per transaction, so a balance tells how often
// that transaction was executed. A transaction without an answer is sent again, the same to the bit, until there is
// one: the hash, or that the chain has it already. SIDEREAL_OUTPUT gets a line of JSON for each:
//   { "hash", "recipient", "retried" }
import { appendFileSync, existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Account, CallData, RpcError, RpcProvider, cairo, num } from 'starknet';

const STRK = '0x4718f5a0fc34cc1af16a1cdee98ffb20c31f5cd61d6ab07201858f4287c938d';
// No chain of a test is down for so long.
const MAX_TRIES = 600;
const RETRY_MS = 250;
const INVALID_NONCE = 52;
const DUPLICATE = 59;

const { SIDEREAL_RPC, SIDEREAL_ACCOUNTS, SIDEREAL_OUTPUT, SIDEREAL_STOP, SIDEREAL_INTERVAL_MS } = process.env;
const provider = new RpcProvider({ nodeUrl: SIDEREAL_RPC });
const stopped = () => existsSync(SIDEREAL_STOP);

async function persistently(what, attempt) {
  let last;
  for (let tries = 0; tries < MAX_TRIES; tries += 1) {
    try {
      return await attempt(tries);
    } catch (error) {
      last = error;
      await sleep(RETRY_MS);
    }
  }
  throw new Error(`${what}: ${last}`);
}

const bounds = (amount, price) => ({ max_amount: amount, max_price_per_unit: price });

async function sendFrom(index, { address, key }) {
  const account = new Account({ provider, address, signer: key, cairoVersion: '1' });
  const block = await persistently('reading the gas prices', () => provider.getBlockWithTxHashes('latest'));
  const resourceBounds = {
    l1_gas: bounds(10_000n, 2n * BigInt(block.l1_gas_price.price_in_fri)),
    l1_data_gas: bounds(10_000n, 2n * BigInt(block.l1_data_gas_price.price_in_fri)),
    l2_gas: bounds(50_000_000n, 2n * BigInt(block.l2_gas_price.price_in_fri)),
  };
  let nonce = BigInt(await persistently('reading the nonce', () => account.getNonce('latest')));
  for (let count = 0; !stopped(); count += 1, nonce += 1n) {
    const recipient = num.toHex(0x1_0000_0000n * BigInt(index + 1) + BigInt(count));
    const transfer = {
      contractAddress: STRK,
      entrypoint: 'transfer',
      calldata: CallData.compile({ recipient, amount: cairo.uint256(1n) }),
    };
    const outcome = await persistently(`transfer ${count} of ${address}`, async (tries) => {
      try {
        const { transaction_hash: hash } = await account.execute(transfer, { nonce, resourceBounds, tip: 0n });
        return { hash: num.toHex(hash), retried: tries > 0 };
      } catch (error) {
        // An earlier try got through, and only its answer was lost.
        const known = error instanceof RpcError && (error.code === DUPLICATE || error.code === INVALID_NONCE);
        if (known && tries > 0) return { hash: null, retried: true };
        throw error;
      }
    });
    appendFileSync(SIDEREAL_OUTPUT, `${JSON.stringify({ ...outcome, recipient })}\n`);
    await sleep(Number(SIDEREAL_INTERVAL_MS));
  }
}

await Promise.all(JSON.parse(SIDEREAL_ACCOUNTS).map((account, index) => sendFrom(index, account)));
