//! The contracts of a deployment get to L1 as they are.

use std::path::Path;
use std::time::Duration;

use alloy::primitives::Address;
use anyhow::Context as _;
use sidereal_l1_settler::{Deployer, Deployment, L1, Verifier};
use sidereal_os_aggregator::AGGREGATOR_BLAKE_HASH;
use sidereal_os_aggregator::claims::{CircuitRoots, circuit_hash};
use sidereal_service::Secret;
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

    // A verifier that is none is refused by the constructor, before anything is paid.
    let nowhere = Deployment { verifier: Verifier::At(Address::repeat_byte(0xee)), ..deployment };
    let error = deployer.deploy(&nowhere).await.unwrap_err();
    let text = sidereal_service::error_chain(&error);
    assert!(text.contains("VerifierWithoutCode"), "{text}");
    assert_eq!(l1.head().await?, head);
    Ok(())
}
