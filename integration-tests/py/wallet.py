"""What a program built on starknet.py does: declare, deploy, invoke, multicall, call, estimate, read, wait.

Environment: SIDEREAL_RPC (endpoint), SIDEREAL_ACCOUNT and SIDEREAL_KEY (a funded account), SIDEREAL_CONTRACTS (the
folder of the compiled contracts), SIDEREAL_OUTPUT (a file).
Writes to SIDEREAL_OUTPUT: {"transactions": [hash, ...]}, all of them accepted on L2. Any surprise is an exception,
and ends the process with status 1.
"""

import asyncio
import json
import os
import pathlib
import secrets
import time

from starknet_py.contract import Contract
from starknet_py.hash.address import compute_address
from starknet_py.hash.selector import get_selector_from_name
from starknet_py.net.account.account import Account
from starknet_py.net.client_errors import ClientError
from starknet_py.net.client_models import (
    Call,
    ResourceBounds,
    ResourceBoundsMapping,
    TransactionExecutionStatus,
    TransactionFinalityStatus,
)
from starknet_py.net.full_node_client import FullNodeClient
from starknet_py.net.signer.key_pair import KeyPair

STRK = 0x04718F5A0FC34CC1AF16A1CDEE98FFB20C31F5CD61D6AB07201858F4287C938D
CHECK_INTERVAL_SECONDS = 0.5
MAX_CHECKS = 600

CONTRACTS = pathlib.Path(os.environ["SIDEREAL_CONTRACTS"])
CLIENT = FullNodeClient(node_url=os.environ["SIDEREAL_RPC"])

transactions: list[str] = []


def step(text: str) -> None:
    print(f"starknet.py: {text}", flush=True)


def artifact(name: str, kind: str) -> str:
    return (CONTRACTS / f"{name}.{kind}.json").read_text()


async def accepted(transaction_hash: int):
    """Waits until the transaction is in a closed block."""
    for _ in range(MAX_CHECKS):
        try:
            status = await CLIENT.get_transaction_status(transaction_hash)
            if status.finality_status.name in ("ACCEPTED_ON_L2", "ACCEPTED_ON_L1"):
                break
        except ClientError as error:
            if error.code != 29:
                raise
        await asyncio.sleep(CHECK_INTERVAL_SECONDS)
    receipt = await CLIENT.get_transaction_receipt(transaction_hash)
    assert receipt.finality_status in (
        TransactionFinalityStatus.ACCEPTED_ON_L2,
        TransactionFinalityStatus.ACCEPTED_ON_L1,
    ), receipt
    transactions.append(hex(transaction_hash))
    return receipt


async def succeeded(transaction_hash: int):
    receipt = await accepted(transaction_hash)
    assert receipt.execution_status == TransactionExecutionStatus.SUCCEEDED, receipt.revert_reason
    return receipt


async def fails(awaitable, code: int) -> None:
    try:
        await awaitable
    except ClientError as error:
        assert error.code == code, error
        return
    raise AssertionError(f"error {code} was expected")


async def funded_account() -> Account:
    chain = int(await CLIENT.get_chain_id(), 16)
    return Account(
        address=os.environ["SIDEREAL_ACCOUNT"],
        client=CLIENT,
        key_pair=KeyPair.from_private_key(int(os.environ["SIDEREAL_KEY"], 16)),
        chain=chain,
    )


async def declare_and_deploy(account: Account) -> Contract:
    step("declaring factorial")
    # The genesis block may have declared it. Another ABI makes another class, which nobody has declared.
    sierra = json.loads(artifact("factorial", "sierra"))
    implementation = next(entry for entry in sierra["abi"] if entry["type"] == "impl")
    sierra["abi"].append({**implementation, "name": f"DeclaredAt{time.time_ns()}"})
    declared = await Contract.declare_v3(
        account,
        compiled_contract=json.dumps(sierra),
        compiled_contract_casm=artifact("factorial", "casm"),
        auto_estimate=True,
    )
    await succeeded(declared.hash)
    stored = await CLIENT.get_class_by_hash(declared.class_hash)
    assert stored.sierra_program == [int(felt, 16) for felt in sierra["sierra_program"]]

    step("deploying it")
    deployed = await declared.deploy_v3(auto_estimate=True)
    await succeeded(deployed.hash)
    contract = deployed.deployed_contract
    assert await CLIENT.get_class_hash_at(contract.address) == declared.class_hash
    return contract


async def invoke_and_call(account: Account, contract: Contract) -> None:
    step("estimating, invoking and calling")
    prepared = contract.functions["factorial"].prepare_invoke_v3(n=10)
    estimate = await prepared.estimate_fee()
    assert estimate.overall_fee > 0
    invoked = await prepared.invoke(auto_estimate=True)
    receipt = await succeeded(invoked.hash)
    assert receipt.actual_fee.amount > 0
    (result,) = await contract.functions["last_result"].call()
    assert result == 3628800, result
    # A call changes nothing.
    (called,) = await contract.functions["factorial"].call(n=5)
    assert called == 120
    assert await contract.functions["last_result"].call() == (3628800,)

    step("a multicall")
    recipient = 0x9A1F
    before = await account.get_balance(STRK)
    sent = await account.execute_v3(
        [
            contract.functions["factorial"].prepare_invoke_v3(n=4),
            Call(STRK, get_selector_from_name("transfer"), [recipient, 11, 0]),
        ],
        auto_estimate=True,
    )
    receipt = await succeeded(sent.transaction_hash)
    assert await contract.functions["last_result"].call() == (24,)
    after = await account.get_balance(STRK)
    assert before - after == 11 + receipt.actual_fee.amount, (before, after, receipt.actual_fee)

    step("reading blocks, state and events")
    block = await CLIENT.get_block_with_receipts(block_number=receipt.block_number)
    assert sent.transaction_hash in [entry.receipt.transaction_hash for entry in block.transactions]
    transaction = await CLIENT.get_transaction(sent.transaction_hash)
    assert transaction.sender_address == account.address
    storage = await CLIENT.get_storage_at(
        contract.address, get_selector_from_name("last_result"), block_number=receipt.block_number
    )
    assert storage == 24
    update = await CLIENT.get_state_update(block_number=receipt.block_number)
    assert update.new_root == block.new_root
    transfers = await CLIENT.get_events(
        address=STRK,
        keys=[[get_selector_from_name("Transfer")], [account.address], [recipient]],
        from_block_number=0,
        to_block_number="latest",
        follow_continuation_token=True,
        chunk_size=10,
    )
    assert [event.data for event in transfers.events] == [[11, 0]]
    assert await CLIENT.get_syncing_status() is False


async def deploy_an_account(account: Account) -> None:
    step("deploying an account")
    key_pair = KeyPair.from_private_key(secrets.randbits(240) + 1)
    class_hash = await CLIENT.get_class_hash_at(account.address)
    salt = secrets.randbits(200)
    address = compute_address(
        class_hash=class_hash, constructor_calldata=[key_pair.public_key], salt=salt
    )
    funding = await account.execute_v3(
        Call(STRK, get_selector_from_name("transfer"), [address, 10**19, 0]), auto_estimate=True
    )
    await succeeded(funding.transaction_hash)
    deployment = await Account.deploy_account_v3(
        address=address,
        class_hash=class_hash,
        salt=salt,
        key_pair=key_pair,
        client=CLIENT,
        auto_estimate=True,
    )
    await succeeded(deployment.hash)
    fresh = deployment.account
    assert await fresh.get_nonce() == 1
    back = await fresh.execute_v3(
        Call(STRK, get_selector_from_name("transfer"), [account.address, 1, 0]), auto_estimate=True
    )
    await succeeded(back.transaction_hash)


async def what_fails(account: Account, contract: Contract) -> None:
    step("what fails")
    bounds = ResourceBoundsMapping(
        l1_gas=ResourceBounds(max_amount=10**5, max_price_per_unit=10**15),
        l1_data_gas=ResourceBounds(max_amount=10**5, max_price_per_unit=10**12),
        l2_gas=ResourceBounds(max_amount=10**8, max_price_per_unit=10**11),
    )
    call = contract.functions["factorial"].prepare_invoke_v3(n=3)
    nonce = await account.get_nonce()
    await fails(account.execute_v3(call, resource_bounds=bounds, nonce=nonce - 1), 52)
    stranger = Account(
        address=account.address,
        client=CLIENT,
        key_pair=KeyPair.from_private_key(12345),
        chain=int(await CLIENT.get_chain_id(), 16),
    )
    await fails(stranger.execute_v3(call, resource_bounds=bounds), 55)
    await fails(CLIENT.get_transaction_receipt(0x1234), 29)
    await fails(CLIENT.get_block(block_number=10_000_000), 24)


async def main() -> None:
    account = await funded_account()
    contract = await declare_and_deploy(account)
    await invoke_and_call(account, contract)
    await deploy_an_account(account)
    await what_fails(account, contract)
    pathlib.Path(os.environ["SIDEREAL_OUTPUT"]).write_text(json.dumps({"transactions": transactions}))
    step(f"done: {len(transactions)} transactions")


if __name__ == "__main__":
    asyncio.run(main())
