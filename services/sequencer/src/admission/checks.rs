//! What can be said about a transaction without asking anybody.

use std::sync::Arc;

use sidereal_execution::transaction::BlockTransaction;
use starknet_api::data_availability::DataAvailabilityMode;
use starknet_api::transaction::Transaction;
use starknet_api::transaction::fields::{AllResourceBounds, Resource, Tip, ValidResourceBounds};

use super::SubmitRefusal;
use crate::mempool::{Candidate, FeeOffer, GasPrices};
use crate::nonce::to_u64;

/// The fields that all transactions of accounts have.
struct Common {
    bounds: ValidResourceBounds,
    tip: Tip,
    modes: [DataAvailabilityMode; 2],
    paymaster: bool,
    deployment_data: bool,
}

fn common(transaction: &BlockTransaction) -> Option<Common> {
    Some(match &transaction.transaction {
        Transaction::Invoke(tx) => Common {
            bounds: tx.resource_bounds(),
            tip: tx.tip(),
            modes: [tx.nonce_data_availability_mode(), tx.fee_data_availability_mode()],
            paymaster: !tx.paymaster_data().is_empty(),
            deployment_data: !tx.account_deployment_data().is_empty(),
        },
        Transaction::Declare(tx) => Common {
            bounds: tx.resource_bounds(),
            tip: tx.tip(),
            modes: [tx.nonce_data_availability_mode(), tx.fee_data_availability_mode()],
            paymaster: !tx.paymaster_data().is_empty(),
            deployment_data: !tx.account_deployment_data().is_empty(),
        },
        Transaction::DeployAccount(tx) => Common {
            bounds: tx.resource_bounds(),
            tip: tx.tip(),
            modes: [tx.nonce_data_availability_mode(), tx.fee_data_availability_mode()],
            paymaster: !tx.paymaster_data().is_empty(),
            deployment_data: false,
        },
        Transaction::Deploy(_) | Transaction::L1Handler(_) => return None,
    })
}

fn all_resources(
    transaction: &BlockTransaction,
) -> Result<(AllResourceBounds, Tip), SubmitRefusal> {
    match common(transaction) {
        Some(Common { bounds: ValidResourceBounds::AllResources(bounds), tip, .. }) => {
            Ok((bounds, tip))
        }
        _ => Err(SubmitRefusal::Unsupported { field: "resource bounds other than all three" }),
    }
}

/// The transaction as the mempool sees it. Its version must have been checked before, as `BlockTransaction::new` does.
pub fn candidate(
    transaction: BlockTransaction,
    received_at_ms: u64,
) -> Result<Candidate<BlockTransaction>, SubmitRefusal> {
    let (bounds, tip) = all_resources(&transaction)?;
    let sender = transaction.sender().map_err(SubmitRefusal::Malformed)?;
    let nonce = transaction.nonce().map_err(SubmitRefusal::Malformed)?;
    let nonce = to_u64(&nonce).ok_or(SubmitRefusal::NonceRange { nonce: nonce.0 })?;
    let stored = serde_json::to_vec(&transaction).map_err(SubmitRefusal::Encode)?;
    let max_prices = GasPrices {
        l1_gas: bounds.l1_gas.max_price_per_unit.0,
        l1_data_gas: bounds.l1_data_gas.max_price_per_unit.0,
        l2_gas: bounds.l2_gas.max_price_per_unit.0,
    };
    Ok(Candidate {
        hash: transaction.hash,
        sender,
        nonce,
        fee: FeeOffer { tip: tip.0, max_prices },
        size_bytes: u64::try_from(stored.len()).unwrap_or(u64::MAX),
        received_at_ms,
        payload: Arc::new(transaction),
    })
}

/// Refuses what is too large to be stored.
pub fn size(candidate: &Candidate<BlockTransaction>, limit: u64) -> Result<(), SubmitRefusal> {
    let size = candidate.size_bytes;
    if size <= limit { Ok(()) } else { Err(SubmitRefusal::TooLarge { size, limit }) }
}

/// Refuses fields that Starknet reserves for later, and a deployment that is not an account's first transaction.
pub fn form(candidate: &Candidate<BlockTransaction>) -> Result<(), SubmitRefusal> {
    let unsupported = |field| Err(SubmitRefusal::Unsupported { field });
    let Some(fields) = common(&candidate.payload) else {
        return unsupported("transactions that no account sends");
    };
    if fields.modes.iter().any(|mode| *mode != DataAvailabilityMode::L1) {
        return unsupported("data availability modes other than L1");
    }
    if fields.paymaster {
        return unsupported("paymaster data");
    }
    if fields.deployment_data {
        return unsupported("account deployment data");
    }
    let deploys = matches!(candidate.payload.transaction, Transaction::DeployAccount(_));
    if deploys && candidate.nonce != 0 {
        return unsupported("account deployments with a nonce other than 0");
    }
    Ok(())
}

/// Refuses offers below the current gas prices, in FRI.
pub fn prices(
    candidate: &Candidate<BlockTransaction>,
    prices: &GasPrices,
) -> Result<(), SubmitRefusal> {
    let offered = &candidate.fee.max_prices;
    for (resource, offered, minimum) in [
        (Resource::L1Gas, offered.l1_gas, prices.l1_gas),
        (Resource::L1DataGas, offered.l1_data_gas, prices.l1_data_gas),
        (Resource::L2Gas, offered.l2_gas, prices.l2_gas),
    ] {
        if offered < minimum {
            return Err(SubmitRefusal::PriceTooLow { resource, offered, minimum });
        }
    }
    Ok(())
}
