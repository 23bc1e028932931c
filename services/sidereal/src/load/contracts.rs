//! What the load calls: the STRK token, and sample contracts that are declared and deployed if the chain
//! does not have them yet.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use sidereal_execution::classes::{CompilationLimits, compile_sierra};
use starknet_api::core::{ContractAddress, Nonce, calculate_contract_address};
use starknet_api::rpc_transaction::RpcTransaction;
use starknet_api::transaction::fields::{Calldata, ContractAddressSalt};
use starknet_types_core::felt::Felt;

use super::{Kind, LoadOptions};
use crate::account::{Account, Call, GasPrices, Signed, bounds};
use crate::print;
use crate::rpc::Rpc;

/// Starknet's own address of the STRK token.
pub const STRK_ADDRESS: Felt =
    Felt::from_hex_unchecked("0x04718f5a0fc34cc1af16a1cdee98ffb20c31f5cd61d6ab07201858f4287c938d");
/// Starknet's own address of the universal deployer.
const UDC_ADDRESS: Felt =
    Felt::from_hex_unchecked("0x041a78e741e5af2fec34b695679bc6891742439f7afb8484ecd7766661ad02bf");
/// The sample contracts are deployed once: their addresses follow from this salt.
const SALT: Felt = Felt::from_hex_unchecked("0x51de2ea1");
/// How far the sample contracts compute: enough work to be seen, little enough for many in a block.
const FIBONACCI_N: u64 = 100;
const FACTORIAL_N: u64 = 30;
const INCLUSION_TIMEOUT: Duration = Duration::from_secs(60);

/// The calls that the load sends, in turn.
#[derive(Clone, Debug)]
pub struct Targets {
    calls: Vec<Target>,
}

#[derive(Clone, Debug)]
enum Target {
    Transfer,
    Compute { to: ContractAddress, entry_point: &'static str, n: u64 },
}

impl Targets {
    /// The call of transaction `index`, sent by `sender`.
    pub fn call(&self, index: u64, sender: ContractAddress, recipients: &[Account]) -> Call {
        let turn = usize::try_from(index % self.calls.len() as u64).unwrap_or(0);
        match &self.calls[turn] {
            Target::Transfer => {
                let count = recipients.len() as u64;
                let pick = usize::try_from(index.wrapping_mul(7) % count).unwrap_or(0);
                let mut recipient = recipients[pick].address;
                if recipient == sender {
                    recipient = recipients[(pick + 1) % recipients.len()].address;
                }
                Call {
                    to: strk(),
                    entry_point: "transfer",
                    calldata: vec![*recipient.0.key(), Felt::ONE, Felt::ZERO],
                }
            }
            Target::Compute { to, entry_point, n } => {
                Call { to: *to, entry_point, calldata: vec![Felt::from(*n)] }
            }
        }
    }
}

fn strk() -> ContractAddress {
    known_address(STRK_ADDRESS)
}

fn known_address(address: Felt) -> ContractAddress {
    // The two constants above are smaller than 2^251, which is all that a contract address asks.
    ContractAddress::try_from(address).unwrap_or_default()
}

/// Finds what `options.kind` calls, deploying what is missing.
pub async fn prepare(
    rpc: &Rpc,
    deployer: &Account,
    options: &LoadOptions,
    prices: GasPrices,
) -> anyhow::Result<Targets> {
    let mut calls = Vec::new();
    if matches!(options.kind, Kind::Transfers | Kind::Mixed) {
        calls.push(Target::Transfer);
    }
    for (kind, name, n) in
        [(Kind::Fibonacci, "fibonacci", FIBONACCI_N), (Kind::Factorial, "factorial", FACTORIAL_N)]
    {
        if options.kind == kind || options.kind == Kind::Mixed {
            let folder = contracts_folder(options)?;
            let to = deployed(rpc, deployer, &folder, name, prices).await?;
            calls.push(Target::Compute { to, entry_point: name, n });
        }
    }
    Ok(Targets { calls })
}

fn contracts_folder(options: &LoadOptions) -> anyhow::Result<PathBuf> {
    if let Some(folder) = &options.contracts {
        return Ok(folder.clone());
    }
    crate::artifacts::contracts_folder()
}

/// The address of the sample contract `name`, which is declared and deployed first if it is not there.
async fn deployed(
    rpc: &Rpc,
    deployer: &Account,
    folder: &Path,
    name: &str,
    prices: GasPrices,
) -> anyhow::Result<ContractAddress> {
    let path = folder.join(format!("{name}.sierra.json"));
    let sierra = std::fs::read(&path)
        .with_context(|| format!("cannot read {}; run scripts/setup first", path.display()))?;
    let compiled =
        tokio::task::spawn_blocking(move || compile_sierra(&sierra, &CompilationLimits::default()))
            .await?
            .with_context(|| format!("cannot compile the sample contract {name}"))?;
    let class_hash = compiled.class_hash;
    let address = calculate_contract_address(
        ContractAddressSalt(SALT),
        class_hash,
        &Calldata::default(),
        ContractAddress::default(),
    )
    .context("cannot compute the sample contract's address")?;

    let known: Result<Value, _> = rpc
        .call(
            "starknet_getClassHashAt",
            json!({ "block_id": "latest", "contract_address": address }),
        )
        .await;
    if known.is_ok() {
        return Ok(address);
    }
    let declared: Result<Value, _> = rpc
        .call("starknet_getClass", json!({ "block_id": "latest", "class_hash": class_hash }))
        .await;
    if declared.is_err() {
        print::line(format_args!("declaring the sample contract {name} ({:#x})", class_hash.0))?;
        let declare = deployer.declare(
            compiled.sierra.clone(),
            class_hash,
            compiled.compiled_class_hash,
            nonce(rpc, deployer).await?,
            bounds(20_000, 20_000, 2_000_000_000, prices),
        )?;
        send(rpc, &declare).await.with_context(|| format!("cannot declare {name}"))?;
        included(rpc, &declare).await?;
    }
    print::line(format_args!("deploying the sample contract {name} at {:#x}", address.0.key()))?;
    let call = Call {
        to: known_address(UDC_ADDRESS),
        entry_point: "deployContract",
        calldata: vec![class_hash.0, SALT, Felt::ZERO, Felt::ZERO],
    };
    let deploy = deployer.invoke(
        &[call],
        nonce(rpc, deployer).await?,
        bounds(20_000, 20_000, 500_000_000, prices),
    )?;
    send(rpc, &deploy).await.with_context(|| format!("cannot deploy {name}"))?;
    included(rpc, &deploy).await?;
    Ok(address)
}

/// The account's next nonce, pending transactions counted in.
pub async fn nonce(rpc: &Rpc, account: &Account) -> anyhow::Result<Nonce> {
    rpc.call(
        "starknet_getNonce",
        json!({ "block_id": "pre_confirmed", "contract_address": account.address }),
    )
    .await
    .with_context(|| format!("cannot read the nonce of {:#x}", account.address.0.key()))
}

/// Submits a signed transaction.
pub async fn send(rpc: &Rpc, signed: &Signed) -> Result<Value, crate::rpc::RpcError> {
    let (method, field) = match &signed.transaction {
        RpcTransaction::Invoke(_) => ("starknet_addInvokeTransaction", "invoke_transaction"),
        RpcTransaction::Declare(_) => ("starknet_addDeclareTransaction", "declare_transaction"),
        RpcTransaction::DeployAccount(_) => {
            ("starknet_addDeployAccountTransaction", "deploy_account_transaction")
        }
    };
    rpc.call(method, json!({ field: signed.transaction })).await
}

/// Waits until a closed block holds the transaction, and fails if it was reverted or rejected.
async fn included(rpc: &Rpc, signed: &Signed) -> anyhow::Result<()> {
    let deadline = tokio::time::Instant::now() + INCLUSION_TIMEOUT;
    let mut last = String::from("no status yet");
    while tokio::time::Instant::now() < deadline {
        let status: Result<Value, _> = rpc
            .call("starknet_getTransactionStatus", json!({ "transaction_hash": signed.hash }))
            .await;
        if let Ok(status) = status {
            if status["execution_status"] == "REVERTED" {
                bail!("{:#x} was reverted: {}", signed.hash.0, status["failure_reason"]);
            }
            if status["finality_status"] == "ACCEPTED_ON_L2"
                || status["finality_status"] == "ACCEPTED_ON_L1"
            {
                return Ok(());
            }
            last = status.to_string();
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    bail!(
        "{:#x} was in no closed block after {} s; its last status: {last}",
        signed.hash.0,
        INCLUSION_TIMEOUT.as_secs()
    )
}
