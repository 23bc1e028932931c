//! A real aggregated proof on a real Anvil: the whole way of an update, with the verifier as it is deployed.

use std::sync::Arc;
use std::time::Duration;

use alloy::consensus::Transaction as _;
use alloy::primitives::Address;
use alloy::rpc::types::TransactionReceipt;
use async_trait::async_trait;
use c_kzg::Blob;
use sidereal_l1_settler::{
    Account, Batches, BatchesError, DatabaseConfig, Deployed, Deployer, Deployment, L1, Settler,
    SettlerStore, Verifier, pinned_hashes, verifier_key,
};
use sidereal_os_aggregator::decode_data;
use sidereal_service::Secret;
use sidereal_settlement::deployment::{Genesis, PinnedHashes, Roles};
use sidereal_settlement::{CircuitVerifier, Refusal, RollupCore, Update};
use starknet_api::core::ChainId;
use starknet_types_core::felt::Felt;
use tokio::sync::watch;

use crate::aggregated::{Aggregated, CHAIN_ID};
use crate::anvil::{Anvil, KEYS};
use crate::world::{account, config};

/// What the verifier may take, and all of a transaction.
const VERIFIER_GAS: u64 = 5_000_000;
const LIMIT: Duration = Duration::from_secs(60);

/// All that there is to settle.
struct OneBatch(Update);

#[async_trait]
impl Batches for OneBatch {
    async fn next_after(&self, block: u64) -> Result<Option<Update>, BatchesError> {
        let begins = self.0.output.previous_block_number == Felt::from(block);
        Ok(begins.then(|| self.0.clone()))
    }
}

/// Anvil with the contracts of a chain whose blocks these are, pinned to what this build proves.
struct Chain {
    anvil: Anvil,
    l1: L1,
    deployed: Deployed,
    folder: tempfile::TempDir,
}

impl Chain {
    /// At the state before the update, with other pinned hashes than the build's where `change` says so.
    async fn before(update: &Update, change: impl Fn(&mut PinnedHashes)) -> anyhow::Result<Self> {
        let anvil = Anvil::start().await?;
        let l1 = L1::new(&Secret::new(anvil.url.clone()), LIMIT)?;
        let mut pinned = pinned_hashes(&ChainId::Other(CHAIN_ID.to_owned()))?;
        change(&mut pinned);
        let output = &update.output;
        let deployer = Deployer {
            l1: &l1,
            account: &account(KEYS[0])?,
            bounds: config().bounds(),
            timeout: LIMIT,
        };
        let deployment = Deployment {
            genesis: Genesis {
                root: output.initial_root,
                block_number: u64::try_from(output.previous_block_number)?,
                block_hash: output.previous_block_hash,
            },
            pinned,
            roles: Roles {
                operator: account(KEYS[1])?.address(),
                operator_silence_s: 86_400,
                governance: Address::repeat_byte(0x60),
                upgrade_delay_s: 172_800,
            },
            verifier: Verifier::New(verifier_key()),
        };
        let deployed = deployer.deploy(&deployment).await?;
        Ok(Self { anvil, l1, deployed, folder: tempfile::tempdir()? })
    }

    /// A settler with this one batch.
    async fn settler(&self, account: Account, batch: Update) -> anyhow::Result<Settler> {
        let url = format!("sqlite://{}", self.folder.path().join("settler.db").display());
        let database = DatabaseConfig { url, connections: 2 };
        let (status, _) = watch::channel(None);
        Ok(Settler {
            l1: self.l1.clone(),
            account,
            store: SettlerStore::open(&database).await?,
            batches: Arc::new(OneBatch(batch)),
            rollup_core: self.deployed.rollup_core,
            chain_id: 31_337,
            holder: "settler".to_owned(),
            depth_blocks: 4,
            config: config(),
            status,
        })
    }

    /// Lets the operator settle, and returns why the contract refused it in the simulation.
    async fn refusal(&self, batch: Update) -> anyhow::Result<Refusal> {
        let operator = account(KEYS[1])?;
        let address = operator.address();
        let error = match self.settler(operator, batch).await?.pass().await {
            Ok(pass) => anyhow::bail!("it was not refused: {pass:?}"),
            Err(error) => error,
        };
        anyhow::ensure!(self.anvil.nonces(address).await? == (0, 0), "something was sent");
        error.refusal().cloned().ok_or_else(|| anyhow::anyhow!(error))
    }
}

/// Pins down that two blocks are settled by their aggregated proof in one transaction of the settler, within the gas that
/// it may take, and that their state diffs come back from L1.
#[tokio::test(flavor = "multi_thread")]
async fn two_real_blocks_are_settled_by_their_proof() -> anyhow::Result<()> {
    let given = Aggregated::load()?.update;
    let chain = Chain::before(&given, |_| ()).await?;
    let settler = chain.settler(account(KEYS[1])?, given.clone()).await?;
    settler.pass().await?;
    let mut found = Vec::new();
    for _ in 0..200 {
        let head = chain.l1.head().await?.number;
        let (contract, deployed_at) = (chain.deployed.rollup_core, chain.deployed.block);
        found = chain.l1.updates(contract, deployed_at, head).await?;
        if !found.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let [update] = &found[..] else { anyhow::bail!("{} updates", found.len()) };
    let held = chain.l1.held(chain.deployed.rollup_core, update.block_hash).await?;
    assert_eq!(held.block_number, 2);
    assert_eq!((held.block_hash, held.root), (given.output.block_hash, given.output.final_root));

    let settled = chain.l1.settled(update).await?;
    assert_eq!((&settled.output, &settled.proof), (&given.output, &given.proof));
    let blobs = chain.anvil.blobs(update.transaction).await?;
    let blobs = blobs.iter().map(|bytes| Blob::from_bytes(bytes)).collect::<Result<Vec<_>, _>>()?;
    assert_eq!(settled.state_updates(&blobs)?, decode_data(&given.data, 2)?);

    let receipt: TransactionReceipt =
        chain.anvil.ask("eth_getTransactionReceipt", (update.transaction,)).await?;
    let transaction: alloy::rpc::types::Transaction =
        chain.anvil.ask("eth_getTransactionByHash", (update.transaction,)).await?;
    assert_eq!(transaction.to(), Some(chain.deployed.rollup_core));
    println!("gas of the update: {}, blob gas {:?}", receipt.gas_used, receipt.blob_gas_used);
    // The whole update is below what the verifier alone may take.
    assert!(receipt.gas_used < VERIFIER_GAS, "{}", receipt.gas_used);

    // Once more: the contract has moved on, and the settler has nothing to send.
    settler.pass().await?;
    assert_eq!(chain.anvil.nonces(account(KEYS[1])?.address()).await?, (1, 1));
    Ok(())
}

/// Pins down that the verifier refuses, before anything is sent: another bit in the proof, another new state, the proof
/// of another chain or of another program, each in an update that is whole otherwise.
#[tokio::test(flavor = "multi_thread")]
async fn the_deployed_verifier_refuses_what_is_not_proven() -> anyhow::Result<()> {
    use CircuitVerifier::CircuitVerifierErrors as Errors;
    let given = Aggregated::load()?.update;
    let chain = Chain::before(&given, |_| ()).await?;

    let mut flipped = given.proof.to_vec();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let changed = Update { proof: flipped.into(), ..given.clone() };
    let refusal = chain.refusal(changed).await?;
    // In the middle are the hashes of the rows' trees, or FRI.
    assert!(
        matches!(
            refusal,
            Refusal::Verifier(Errors::TraceCommitment(_) | Errors::LayerCommitment(_))
        ),
        "{refusal}"
    );

    let another_statement =
        |refusal: &Refusal| matches!(refusal, Refusal::Verifier(Errors::InteractionProofOfWork(_)));
    let mut changed = given.clone();
    changed.output.final_root += Felt::ONE;
    let refusal = chain.refusal(changed).await?;
    assert!(another_statement(&refusal), "{refusal}");

    let mut changed = given.clone();
    changed.output.config_hash += Felt::ONE;
    let refusal = chain.refusal(changed.clone()).await?;
    assert!(
        matches!(refusal, Refusal::RollupCore(RollupCore::RollupCoreErrors::ConfigHash(_))),
        "{refusal}"
    );
    let config = changed.output.config_hash;
    let other = Chain::before(&given, |pinned| pinned.config = config).await?;
    let refusal = other.refusal(changed).await?;
    assert!(another_statement(&refusal), "{refusal}");

    let other = Chain::before(&given, |pinned| pinned.aggregator_program += Felt::ONE).await?;
    let refusal = other.refusal(given).await?;
    assert!(another_statement(&refusal), "{refusal}");
    Ok(())
}
