//! What the rollup's contract says of itself beyond its state: for those who verify it.

use alloy::eips::{BlockId, BlockNumberOrTag};
use alloy::primitives::{Address, B256, Bytes, TxKind, U64, U256, address};
use alloy::rpc::types::{Block, Filter, Log, TransactionInput, TransactionRequest};
use alloy::sol_types::SolEvent;
use serde::Deserialize;
use sidereal_os_aggregator::claims::CircuitRoots;
use sidereal_settlement::deployment::{
    Genesis, PinnedHashes, Roles, VerifierKey, circuit_verifier, circuit_verifier_parts,
    rollup_core, rollup_core_arguments,
};
use sidereal_settlement::{CircuitVerifier, RollupCore, u256_to_felt};
use starknet_types_core::felt::Felt;

use super::{L1, L1Error, L1Failure};

const EVENTS: &str = "ask for the contract's events";

/// In whose name contracts are created for comparison: nobody's.
const CREATOR: Address = address!("0x000000000000000000000000000000000000c0de");

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

/// A block, as far as creations of contracts are concerned.
#[derive(Debug, Deserialize)]
struct CreatingBlock {
    transactions: Vec<CreatingTransaction>,
}

#[derive(Debug, Deserialize)]
struct CreatingTransaction {
    from: Address,
    to: Option<Address>,
    nonce: U64,
    input: Bytes,
}

/// What a deployment chooses, and the contract's code holds for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delays {
    /// Seconds after the last update from which on anybody may settle.
    pub operator_silence_s: u64,
    /// Seconds between the announcement of another proof system and its earliest use.
    pub upgrade_delay_s: u64,
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

    /// The state that the contract began with, if a transaction of the block `at` created it by the code that this build
    /// deploys, which then is where everything in its storage comes from: code that only returns the same code could leave
    /// anything there.
    ///
    /// # Errors
    /// Also when there is no such block.
    pub async fn created_by_us(
        &self,
        contract: Address,
        at: u64,
    ) -> Result<Option<Genesis>, L1Error> {
        const OPERATION: &str = "ask for the transactions of a block";
        let at = BlockNumberOrTag::Number(at);
        let block: Option<CreatingBlock> =
            self.ask(OPERATION, "eth_getBlockByNumber", (at, true)).await?;
        let block = block.ok_or_else(|| L1Error::malformed(OPERATION, "there is none"))?;
        let creating = block.transactions.iter().find(|transaction| {
            transaction.to.is_none() && transaction.from.create(transaction.nonce.to()) == contract
        });
        let arguments = creating.and_then(|creating| rollup_core_arguments(&creating.input));
        Ok(arguments.and_then(|arguments| {
            Some(Genesis {
                root: u256_to_felt(&arguments.genesis.root)?,
                block_number: arguments.genesis.blockNumber,
                block_hash: u256_to_felt(&arguments.genesis.blockHash)?,
            })
        }))
    }

    /// From when on a proof system that was announced may be put in force, in seconds since the Unix epoch; none if none
    /// waits after the block `at`.
    ///
    /// # Errors
    /// Also when there is no such contract.
    pub async fn pending_upgrade(
        &self,
        contract: Address,
        at: B256,
    ) -> Result<Option<u64>, L1Error> {
        let pending = self.read(contract, at, &RollupCore::pendingUpgradeCall {}).await?;
        Ok((!pending.id.is_zero()).then(|| pending.notBefore.saturating_to()))
    }

    /// The delays, if the contract's code after the block `at` is the one that this build deploys: they are read from
    /// the contract, and bound by the comparison.
    ///
    /// # Errors
    /// Also when there is no such contract.
    pub async fn our_code(&self, contract: Address, at: B256) -> Result<Option<Delays>, L1Error> {
        let silence = self.read(contract, at, &RollupCore::OPERATOR_SILENCECall {}).await?;
        let delay = self.read(contract, at, &RollupCore::UPGRADE_DELAYCall {}).await?;
        let (Ok(operator_silence_s), Ok(upgrade_delay_s)) = (silence.try_into(), delay.try_into())
        else {
            return Ok(None);
        };
        let system = self.proof_system(contract, at).await?;
        // Roles, state and proof system go to storage, and any verifier that has code will do.
        let genesis = Genesis { root: Felt::ZERO, block_number: 0, block_hash: Felt::ZERO };
        let hash = [0; 32];
        let pinned = PinnedHashes {
            os_program: Felt::ZERO,
            aggregator_program: Felt::ZERO,
            config: Felt::ZERO,
            roots: CircuitRoots { wrap: hash, merge: hash, shrink: hash, compact: hash },
        };
        let roles = Roles {
            operator: Address::ZERO,
            operator_silence_s,
            governance: Address::ZERO,
            upgrade_delay_s,
        };
        let creation = rollup_core(&genesis, system.verifier, &pinned, &roles);
        let is_ours = self.created(creation, at).await? == self.code(contract, at).await?;
        Ok(is_ours.then_some(Delays { operator_silence_s, upgrade_delay_s }))
    }

    /// Whether a verifier's code after the block `at`, and that of the contracts that it consists of, is the one that
    /// this build deploys for this circuit.
    ///
    /// # Errors
    /// When L1 cannot be read.
    pub async fn is_our_verifier(
        &self,
        verifier: Address,
        key: &VerifierKey,
        at: B256,
    ) -> Result<bool, L1Error> {
        let constraints = self.read(verifier, at, &CircuitVerifier::CONSTRAINTSCall {}).await;
        let circle = self.read(verifier, at, &CircuitVerifier::CIRCLECall {}).await;
        let parts = match (constraints, circle) {
            (Ok(constraints), Ok(circle)) => [constraints, circle],
            (Err(error), _) | (_, Err(error)) => {
                return match error.source {
                    // It has no such functions.
                    L1Failure::Refused(_) | L1Failure::Malformed(_) => Ok(false),
                    _ => Err(error),
                };
            }
        };
        for (part, creation) in parts.iter().zip(circuit_verifier_parts()) {
            if self.created(creation, at).await? != self.code(*part, at).await? {
                return Ok(false);
            }
        }
        // Created anew, its parts have other addresses, which are in its code.
        let anew = CREATOR.create(self.nonce(CREATOR, at).await?);
        let mut created = self.created(circuit_verifier(key), at).await?.to_vec();
        for (nonce, part) in (1..).zip(parts) {
            replace(&mut created, &anew.create(nonce), &part);
        }
        Ok(created == self.code(verifier, at).await?)
    }

    /// The code that creation code leaves when [`CREATOR`] runs it.
    async fn created(&self, creation: Bytes, at: B256) -> Result<Bytes, L1Error> {
        let request = TransactionRequest {
            from: Some(CREATOR),
            to: Some(TxKind::Create),
            input: TransactionInput::new(creation),
            ..Default::default()
        };
        self.ask("create a contract anew", "eth_call", (request, BlockId::from(at))).await
    }

    async fn code(&self, contract: Address, at: B256) -> Result<Bytes, L1Error> {
        self.ask("ask for a contract's code", "eth_getCode", (contract, BlockId::from(at))).await
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

/// Puts an address in place of another one, wherever that is.
fn replace(code: &mut [u8], old: &Address, new: &Address) {
    for at in 0..(code.len() + 1).saturating_sub(old.len()) {
        if code[at..].starts_with(old.as_slice()) {
            code[at..at + old.len()].copy_from_slice(new.as_slice());
        }
    }
}
