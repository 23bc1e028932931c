//! The contracts of a deployment get to L1 as they are.

use std::path::Path;
use std::time::{Duration, Instant};

use alloy::primitives::{Address, B256, Bytes, TxKind};
use alloy::rpc::types::{TransactionInput, TransactionReceipt, TransactionRequest};
use alloy::sol_types::SolCall as _;
use anyhow::Context as _;
use sidereal_l1_settler::{Deployer, Deployment, L1, Verifier};
use sidereal_os_aggregator::AGGREGATOR_BLAKE_HASH;
use sidereal_os_aggregator::claims::{CircuitRoots, circuit_hash};
use sidereal_service::Secret;
use sidereal_settlement::RollupCore;
use sidereal_settlement::deployment::{Genesis, PinnedHashes, Roles, VerifierKey};
use starknet_types_core::felt::Felt;

use crate::anvil::{Anvil, KEYS};
use crate::world::{account, config};

/// The key of the stored proof that the verifier's own tests have.
fn key() -> anyhow::Result<VerifierKey> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../contracts/solidity/test/verifier/fixtures/key.json");
    let key: serde_json::Value = serde_json::from_slice(&std::fs::read(path)?)?;
    let root = key["preprocessedRoot"].as_str().context("the key has no root")?;
    let sizes = key["componentLogSizes"].as_array().context("the key has no sizes")?;
    let sizes: Vec<u8> =
        sizes.iter().filter_map(|size| u8::try_from(size.as_u64()?).ok()).collect();
    Ok(VerifierKey {
        preprocessed_root: alloy::hex::FromHex::from_hex(root)?,
        component_log_sizes: sizes.try_into().ok().context("another number of components")?,
    })
}

/// Pins down that verifier and rollup are deployed within the gas of a transaction each, with the state given.
#[tokio::test(flavor = "multi_thread")]
async fn verifier_and_rollup_are_deployed() -> anyhow::Result<()> {
    let anvil = Anvil::start().await?;
    let l1 = L1::new(&Secret::new(anvil.url.clone()), Duration::from_secs(60))?;
    let account = account(KEYS[0])?;
    let deployer = Deployer {
        l1: &l1,
        account: &account,
        bounds: config().bounds(),
        timeout: Duration::from_secs(60),
    };
    let genesis = Genesis { root: Felt::from(0x11), block_number: 5, block_hash: Felt::from(0x22) };
    let deployment = Deployment {
        genesis,
        pinned: PinnedHashes {
            os_program: Felt::from(5),
            aggregator_program: AGGREGATOR_BLAKE_HASH,
            config: Felt::from(6),
            roots: CircuitRoots {
                wrap: circuit_hash(b"wrap"),
                merge: circuit_hash(b"merge"),
                shrink: circuit_hash(b"shrink"),
                compact: circuit_hash(b"compact"),
            },
        },
        roles: Roles {
            operator: account.address(),
            operator_silence_s: 3_600,
            governance: account.address(),
            upgrade_delay_s: 7_200,
        },
        verifier: Verifier::New(key()?),
    };
    let deployed = deployer.deploy(&deployment).await?;
    let head = l1.head().await?;
    assert_eq!(deployed.block, head.number);
    assert!(l1.has_code(deployed.verifier, head.hash).await?);
    let held = l1.held(deployed.rollup_core, head.hash).await?;
    assert_eq!(
        (held.block_number, held.block_hash, held.root),
        (5, genesis.block_hash, genesis.root)
    );

    let created = l1.created_by_us(deployed.rollup_core, deployed.block).await?;
    assert_eq!(created, Some(genesis));
    assert_eq!(l1.pending_upgrade(deployed.rollup_core, head.hash).await?, None);

    // A verifier that is none is refused by the constructor, before anything is paid.
    let nowhere = Deployment { verifier: Verifier::At(Address::repeat_byte(0xee)), ..deployment };
    let error = deployer.deploy(&nowhere).await.unwrap_err();
    let text = sidereal_service::error_chain(&error);
    assert!(text.contains("VerifierWithoutCode"), "{text}");
    assert_eq!(l1.head().await?, head);

    // The very same code, put there by other code than the release's, which could have written any state first.
    let (copy, block) = copy(&anvil, deployed.rollup_core, account.address()).await?;
    let code =
        async |contract: Address| anvil.ask::<_, Bytes>("eth_getCode", (contract, "latest")).await;
    assert_eq!(code(copy).await?, code(deployed.rollup_core).await?);
    assert_eq!(l1.created_by_us(copy, block).await?, None);

    // An upgrade that waits is told of, with its time.
    let system = l1.proof_system(deployed.rollup_core, head.hash).await?;
    let announcement = TransactionRequest {
        from: Some(account.address()),
        to: Some(deployed.rollup_core.into()),
        input: TransactionInput::new(
            RollupCore::scheduleUpgradeCall { system }.abi_encode().into(),
        ),
        ..Default::default()
    };
    anyhow::ensure!(mined(&anvil, announcement).await?.status());
    let head = l1.head().await?;
    let announced = l1.block_time(head.hash).await?;
    let pending = l1.pending_upgrade(deployed.rollup_core, head.hash).await?;
    assert_eq!(pending, Some(announced + 7_200));
    Ok(())
}

/// Creates a contract with the code of another one, by code that does nothing else; returns it and its block.
async fn copy(anvil: &Anvil, of: Address, from: Address) -> anyhow::Result<(Address, u64)> {
    let code: Bytes = anvil.ask("eth_getCode", (of, "latest")).await?;
    let [.., high, low] = code.len().to_be_bytes();
    // PUSH2 length, DUP1, PUSH1 10 (where the code begins), RETURNDATASIZE (0), CODECOPY, RETURNDATASIZE, RETURN.
    let mut creation = vec![0x61, high, low, 0x80, 0x60, 0x0a, 0x3d, 0x39, 0x3d, 0xf3];
    creation.extend_from_slice(&code);
    let request = TransactionRequest {
        from: Some(from),
        to: Some(TxKind::Create),
        input: TransactionInput::new(creation.into()),
        gas: Some(8_000_000),
        ..Default::default()
    };
    let receipt = mined(anvil, request).await?;
    let block = receipt.block_number.context("it is in no block")?;
    Ok((receipt.contract_address.context("it created nothing")?, block))
}

/// Sends in the name of an account of Anvil's, which answers before the block is made, and waits for the block.
async fn mined(anvil: &Anvil, request: TransactionRequest) -> anyhow::Result<TransactionReceipt> {
    let hash: B256 = anvil.ask("eth_sendTransaction", (request,)).await?;
    let sent = Instant::now();
    loop {
        let receipt: Option<TransactionReceipt> =
            anvil.ask("eth_getTransactionReceipt", (hash,)).await?;
        if let Some(receipt) = receipt {
            return Ok(receipt);
        }
        anyhow::ensure!(sent.elapsed() < Duration::from_secs(60), "it is in no block");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
