//! What the rollup's contract says of itself beyond its state: for those who verify it.

use alloy::eips::{BlockId, BlockNumberOrTag};
use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::rpc::types::{Block, Filter, Log, TransactionInput, TransactionRequest};
use alloy::sol_types::SolEvent;
use sidereal_os_aggregator::claims::CircuitRoots;
use sidereal_settlement::deployment::{
    COMPONENTS, Genesis, PinnedHashes, Roles, VerifierKey, rollup_core,
};
use sidereal_settlement::{CircuitVerifier, RollupCore, u256_to_felt};
use starknet_types_core::felt::Felt;

use super::{L1, L1Error};

const EVENTS: &str = "ask for the contract's events";

/// A proof system that was put in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    /// Number of L1's block from which on.
    pub block: u64,
    /// Place in that block.
    pub log_index: u64,
    /// What is pinned.
    pub system: RollupCore::ProofSystem,
}

impl L1 {
    /// Time of a block, in seconds since the Unix epoch.
    ///
    /// # Errors
    /// Also when there is no such block.
    pub async fn block_time(&self, hash: B256) -> Result<u64, L1Error> {
        const OPERATION: &str = "ask for a block";
        let block: Option<Block> = self.ask(OPERATION, "eth_getBlockByHash", (hash, false)).await?;
        let block = block.ok_or_else(|| L1Error::malformed(OPERATION, "there is none"))?;
        Ok(block.header.timestamp)
    }

    /// The state that the contract was deployed with, in the block `at`.
    ///
    /// # Errors
    /// Also when the contract was not deployed in that block.
    pub async fn genesis(&self, contract: Address, at: u64) -> Result<Genesis, L1Error> {
        let logs = self.events::<RollupCore::Genesis>(contract, at, at).await?;
        let missing = || L1Error::malformed(EVENTS, "no contract was deployed in that block");
        let event = logs.into_iter().next().ok_or_else(missing)?.1;
        let felt = |number: U256| {
            u256_to_felt(&number).ok_or_else(|| L1Error::malformed(EVENTS, "it holds no felt"))
        };
        Ok(Genesis {
            root: felt(event.root)?,
            block_number: event
                .blockNumber
                .try_into()
                .map_err(|_| L1Error::malformed(EVENTS, "it holds no block number"))?,
            block_hash: felt(event.blockHash)?,
        })
    }

    /// The proof systems that were put in force in the blocks `from` to `to`, in order; the first by the deployment.
    ///
    /// # Errors
    /// When L1 cannot be read.
    pub async fn proof_systems(
        &self,
        contract: Address,
        from: u64,
        to: u64,
    ) -> Result<Vec<InForce>, L1Error> {
        let logs = self.events::<RollupCore::ProofSystemReplaced>(contract, from, to).await?;
        let missing = || L1Error::malformed(EVENTS, "an event has no place");
        logs.into_iter()
            .map(|(log, event)| {
                Ok(InForce {
                    block: log.block_number.ok_or_else(missing)?,
                    log_index: log.log_index.ok_or_else(missing)?,
                    system: event.system,
                })
            })
            .collect()
    }

    /// The proof system in force after the block `at`.
    ///
    /// # Errors
    /// Also when there is no such contract.
    pub async fn proof_system(
        &self,
        contract: Address,
        at: B256,
    ) -> Result<RollupCore::ProofSystem, L1Error> {
        self.read(contract, at, &RollupCore::proofSystemCall {}).await
    }

    /// The key of the circuit whose proofs a verifier takes, as it says itself.
    ///
    /// # Errors
    /// Also when there is no such contract.
    pub async fn verifier_key(&self, verifier: Address, at: B256) -> Result<VerifierKey, L1Error> {
        const OPERATION: &str = "read the proof's verifier";
        let root = self.read(verifier, at, &CircuitVerifier::PREPROCESSED_ROOTCall {}).await?;
        let sizes = self.read(verifier, at, &CircuitVerifier::COMPONENT_LOG_SIZESCall {}).await?;
        let bytes: [u8; 32] = sizes.to_le_bytes();
        let (root, rest) = root.0.split_at(24);
        if rest != [0; 8] || bytes[COMPONENTS..].iter().any(|byte| *byte != 0) {
            return Err(L1Error::malformed(OPERATION, "its key is of another form"));
        }
        let mut key =
            VerifierKey { preprocessed_root: [0; 24], component_log_sizes: [0; COMPONENTS] };
        key.preprocessed_root.copy_from_slice(root);
        key.component_log_sizes.copy_from_slice(&bytes[..COMPONENTS]);
        Ok(key)
    }

    /// Whether the contract's code after the block `at` is the one that this build deploys. What a deployment chooses
    /// and code holds (the delays) is read from the contract, and bound by the comparison.
    ///
    /// # Errors
    /// Also when there is no such contract.
    pub async fn has_our_code(&self, contract: Address, at: B256) -> Result<bool, L1Error> {
        let silence = self.read(contract, at, &RollupCore::OPERATOR_SILENCECall {}).await?;
        let delay = self.read(contract, at, &RollupCore::UPGRADE_DELAYCall {}).await?;
        let (Ok(operator_silence_s), Ok(upgrade_delay_s)) = (silence.try_into(), delay.try_into())
        else {
            return Ok(false);
        };
        let system = self.proof_system(contract, at).await?;
        let genesis = Genesis { root: Felt::ZERO, block_number: 0, block_hash: Felt::ZERO };
        let roles = Roles {
            operator: Address::ZERO,
            operator_silence_s,
            governance: Address::ZERO,
            upgrade_delay_s,
        };
        // Roles, state and proof system go to storage. Any verifier that has code will do.
        let hash = [0; 32];
        let pinned = PinnedHashes {
            os_program: Felt::ZERO,
            aggregator_program: Felt::ZERO,
            config: Felt::ZERO,
            roots: CircuitRoots { wrap: hash, merge: hash, shrink: hash, compact: hash },
        };
        let request = TransactionRequest {
            input: TransactionInput::new(rollup_core(&genesis, system.verifier, &pinned, &roles)),
            ..Default::default()
        };
        let (operation, at) = ("create the rollup's contract anew", BlockId::from(at));
        let created: Bytes = self.ask(operation, "eth_call", (request, at)).await?;
        let code: Bytes =
            self.ask("ask for a contract's code", "eth_getCode", (contract, at)).await?;
        Ok(created == code)
    }

    async fn events<E: SolEvent>(
        &self,
        contract: Address,
        from: u64,
        to: u64,
    ) -> Result<Vec<(Log, E)>, L1Error> {
        let filter = Filter::new()
            .address(contract)
            .event_signature(E::SIGNATURE_HASH)
            .from_block(BlockNumberOrTag::Number(from))
            .to_block(BlockNumberOrTag::Number(to));
        let logs: Vec<Log> = self.ask(EVENTS, "eth_getLogs", (filter,)).await?;
        logs.into_iter()
            .map(|log| {
                let event = log
                    .log_decode::<E>()
                    .map_err(|_| L1Error::malformed(EVENTS, "an event is not as the contract's"))?;
                Ok((log, event.inner.data))
            })
            .collect()
    }
}
