//! The block header of protocol version 0.13.5: commitments and block hash, by `starknet_api`'s calculators.

use serde::{Deserialize, Serialize};
use starknet_api::StarknetApiError;
use starknet_api::block::{
    BlockHash, BlockNumber, BlockTimestamp, GasPricePerToken, StarknetVersion,
};
use starknet_api::block_hash::block_hash_calculator::{
    BlockHeaderCommitments, PartialBlockHashComponents, TransactionHashingData,
    TransactionOutputForHash, calculate_block_hash, concat_counts,
};
use starknet_api::block_hash::receipt_commitment::{ReceiptElement, calculate_receipt_commitment};
use starknet_api::block_hash::state_diff_hash::calculate_state_diff_hash;
use starknet_api::block_hash::transaction_commitment::{
    TransactionLeafElement, calculate_transaction_commitment,
};
use starknet_api::core::{ContractAddress, EventCommitment, GlobalRoot, SequencerContractAddress};
use starknet_api::crypto::patricia_hash::calculate_root;
use starknet_api::data_availability::L1DataAvailabilityMode;
use starknet_api::transaction::fields::TransactionSignature;
use starknet_api::transaction::{Event, Transaction, TransactionHash};
use starknet_types_core::felt::Felt;
use starknet_types_core::hash::{Poseidon, StarkHash as _};

use crate::block::{PROTOCOL_VERSION, PROTOCOL_VERSION_NAME};
use crate::outcome::{BlockExecution, TransactionReceipt};
use crate::transaction::BlockTransaction;

/// The header of a closed block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockHeader {
    /// The block hash over all fields below.
    pub hash: BlockHash,
    /// The block's number.
    pub number: BlockNumber,
    /// Hash of block `number - 1`.
    pub parent_hash: BlockHash,
    /// The state commitment after the block.
    pub state_root: GlobalRoot,
    /// Seconds since the Unix epoch.
    pub timestamp: BlockTimestamp,
    /// Who received the fees.
    pub sequencer_address: ContractAddress,
    /// Per unit of L1 gas.
    pub l1_gas_price: GasPricePerToken,
    /// Per unit of L1 data gas.
    pub l1_data_gas_price: GasPricePerToken,
    /// Per unit of L2 gas.
    pub l2_gas_price: GasPricePerToken,
    /// How the state diff goes to L1.
    pub l1_da_mode: L1DataAvailabilityMode,
    /// "0.13.5".
    pub starknet_version: String,
    /// Transactions, events and state diff entries in the block.
    pub transaction_count: usize,
    /// See `transaction_count`.
    pub event_count: usize,
    /// See `transaction_count`.
    pub state_diff_length: usize,
    /// Commitments to transactions, events, receipts and the state diff, and the packed counts.
    pub commitments: BlockHeaderCommitments,
}

/// Why a header cannot be computed.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    /// There is not one receipt a transaction.
    #[error("block {block} has {transactions} transactions and {receipts} receipts")]
    ReceiptCount {
        /// The block.
        block: BlockNumber,
        /// Transactions.
        transactions: usize,
        /// Receipts.
        receipts: usize,
    },
    /// The header names another protocol version.
    #[error(
        "block {block} follows protocol version {found}, only {PROTOCOL_VERSION_NAME} is supported"
    )]
    Version {
        /// The block.
        block: BlockNumber,
        /// The version found.
        found: String,
    },
    /// The block hash is not defined for these values.
    #[error("the hash of block {block} cannot be computed")]
    Hash {
        /// The block.
        block: BlockNumber,
        /// The cause.
        #[source]
        source: StarknetApiError,
    },
}

/// Computes the header of a closed block whose state has the commitment `state_root`.
pub fn block_header(
    execution: &BlockExecution,
    state_root: GlobalRoot,
) -> Result<BlockHeader, HeaderError> {
    let environment = &execution.environment;
    if execution.transactions.len() != execution.receipts.len() {
        return Err(HeaderError::ReceiptCount {
            block: environment.number,
            transactions: execution.transactions.len(),
            receipts: execution.receipts.len(),
        });
    }
    let data: Vec<TransactionHashingData> = execution
        .transactions
        .iter()
        .zip(&execution.receipts)
        .map(|(transaction, receipt)| hashing_data(transaction, receipt))
        .collect();
    let events: Vec<Felt> = execution
        .receipts
        .iter()
        .flat_map(|receipt| receipt.events.iter().map(|event| event_hash(event, receipt.hash)))
        .collect();
    let event_count = events.len();
    let transactions: Vec<TransactionLeafElement> = data.iter().map(Into::into).collect();
    let receipts: Vec<ReceiptElement> = data.iter().map(Into::into).collect();
    let commitments = BlockHeaderCommitments {
        transaction_commitment: calculate_transaction_commitment::<Poseidon>(&transactions),
        event_commitment: EventCommitment(calculate_root::<Poseidon>(events)),
        receipt_commitment: calculate_receipt_commitment::<Poseidon>(&receipts),
        state_diff_commitment: calculate_state_diff_hash(&execution.state_diff),
        concatenated_counts: concat_counts(
            data.len(),
            event_count,
            execution.state_diff.len(),
            environment.l1_da_mode,
        ),
    };
    let mut header = BlockHeader {
        hash: BlockHash::default(),
        number: environment.number,
        parent_hash: environment.parent_hash,
        state_root,
        timestamp: environment.timestamp,
        sequencer_address: environment.sequencer_address,
        l1_gas_price: environment.l1_gas_price,
        l1_data_gas_price: environment.l1_data_gas_price,
        l2_gas_price: environment.l2_gas_price,
        l1_da_mode: environment.l1_da_mode,
        starknet_version: PROTOCOL_VERSION_NAME.to_owned(),
        transaction_count: data.len(),
        event_count,
        state_diff_length: execution.state_diff.len(),
        commitments,
    };
    header.hash = header.compute_hash()?;
    Ok(header)
}

impl BlockHeader {
    /// The block hash over the header's fields, whatever `self.hash` says. The counts are not hashed as such
    /// but in `commitments.concatenated_counts`; [`Self::is_consistent`] compares them.
    pub fn compute_hash(&self) -> Result<BlockHash, HeaderError> {
        if self.starknet_version != PROTOCOL_VERSION_NAME {
            return Err(HeaderError::Version {
                block: self.number,
                found: self.starknet_version.clone(),
            });
        }
        self.compute_hash_as(PROTOCOL_VERSION)
    }

    /// The block hash if the header were of `version`, which must be one that hashes blocks as 0.13.5 does (from
    /// 0.13.4 on): the version's name is part of what is hashed.
    pub fn compute_hash_as(&self, version: StarknetVersion) -> Result<BlockHash, HeaderError> {
        let components = PartialBlockHashComponents {
            header_commitments: self.commitments.clone(),
            block_number: self.number,
            l1_gas_price: self.l1_gas_price,
            l1_data_gas_price: self.l1_data_gas_price,
            l2_gas_price: self.l2_gas_price,
            sequencer: SequencerContractAddress(self.sequencer_address),
            timestamp: self.timestamp,
            starknet_version: version,
        };
        calculate_block_hash(&components, self.state_root, self.parent_hash)
            .map_err(|source| HeaderError::Hash { block: self.number, source })
    }

    /// Whether the hash and the counts are those of the other fields.
    pub fn is_consistent(&self) -> Result<bool, HeaderError> {
        let counts = concat_counts(
            self.transaction_count,
            self.event_count,
            self.state_diff_length,
            self.l1_da_mode,
        );
        Ok(counts == self.commitments.concatenated_counts && self.hash == self.compute_hash()?)
    }
}

/// The leaf of the event commitment: Poseidon over emitter, transaction hash, and keys and data with their
/// lengths (Starknet's documentation of block hashes; `starknet_api` has it, but keeps its input private).
fn event_hash(event: &Event, transaction: TransactionHash) -> Felt {
    let (keys, data) = (&event.content.keys, &event.content.data.0);
    let mut hashed = vec![*event.from_address.0.key(), transaction.0, Felt::from(keys.len())];
    hashed.extend(keys.iter().map(|key| key.0));
    hashed.push(Felt::from(data.len()));
    hashed.extend(data);
    Poseidon::hash_array(&hashed)
}

/// What the commitments hash of one transaction.
pub fn hashing_data(
    transaction: &BlockTransaction,
    receipt: &TransactionReceipt,
) -> TransactionHashingData {
    TransactionHashingData {
        transaction_signature: signature(&transaction.transaction),
        transaction_output: TransactionOutputForHash {
            actual_fee: receipt.actual_fee,
            events: receipt.events.clone(),
            execution_status: receipt.execution_status.clone(),
            gas_consumed: receipt.gas_consumed,
            messages_sent: receipt.messages_sent.clone(),
        },
        transaction_hash: transaction.hash,
    }
}

fn signature(transaction: &Transaction) -> TransactionSignature {
    match transaction {
        Transaction::Declare(tx) => tx.signature(),
        Transaction::DeployAccount(tx) => tx.signature(),
        Transaction::Invoke(tx) => tx.signature(),
        Transaction::Deploy(_) | Transaction::L1Handler(_) => TransactionSignature::default(),
    }
}
