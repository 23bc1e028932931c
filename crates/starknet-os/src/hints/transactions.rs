//! The fields of the transactions (`execution/execute_transactions.cairo`). Only version 3 is supported.

use starknet_api::abi::abi_utils::selector_from_name;
use starknet_api::data_availability::DataAvailabilityMode;
use starknet_api::executable_transaction::{AccountTransaction, Transaction};
use starknet_api::transaction::constants::EXECUTE_ENTRY_POINT_NAME;
use starknet_api::transaction::fields::{ResourceBounds, ValidResourceBounds};
use starknet_api::transaction::{
    DeclareTransaction, DeclareTransactionV3, DeployAccountTransaction, DeployAccountTransactionV3,
    InvokeTransaction, InvokeTransactionV3, TransactionVersion,
};
use starknet_types_core::felt::Felt;

use super::{Hint, HintContext, HintResult};
use crate::cairo_structs::constants::VALIDATED;
use crate::error::HintFailure;

pub(super) const HINTS: &[Hint] = &[
    Hint::new("fc42a21b38f7494b", "set_sha256_segment", set_sha256_segment),
    Hint::new("db2892e925d78121", "reserved_range_checks", reserved_range_checks),
    Hint::new("3266f452c77340aa", "number_of_transactions", number_of_transactions),
    Hint::new("959fcfb5988da4b7", "enter_transactions", enter_transactions),
    Hint::new("3cdf4fa75bbdd7f6", "fill_range_check96_holes", fill_range_check96_holes),
    Hint::new("d355450f90460cd0", "report_progress", report_progress),
    Hint::new("4104593bfd0a48a1", "load_transaction", load_transaction),
    Hint::new("bddc55a3809971d9", "unload_transaction", unload_transaction),
    Hint::new("c106ec22b0bafe21", "gas_exceeds_maximum", gas_exceeds_maximum),
    Hint::new("0c1b181ae0ad07d1", "actual_fee", actual_fee),
    Hint::new("7869faf64645cb43", "version", version),
    Hint::new("b803f1cb5fd75e61", "max_fee", max_fee),
    Hint::new("deb32a3d4decb151", "invoke_nonce", nonce),
    Hint::new("1552ca5a70478044", "nonce", nonce),
    Hint::new("7667f1c465abeb9f", "tip", tip),
    Hint::new("f613fe27f4328c0d", "paymaster_data_length", paymaster_data_length),
    Hint::new("e5409f8390f4108c", "paymaster_data", paymaster_data),
    Hint::new("03bf84b593e9d3fb", "nonce_data_availability_mode", nonce_data_availability_mode),
    Hint::new("c98fea81888db92e", "fee_data_availability_mode", fee_data_availability_mode),
    Hint::new("b1cbd384c5860ec1", "account_deployment_data_length", account_deployment_data_length),
    Hint::new("2874730df44bdde0", "account_deployment_data", account_deployment_data),
    Hint::new("c91eb87a35ec6db6", "check_transaction_hash", check_transaction_hash),
    Hint::new("923861c0eba5a6f0", "signature", signature),
    Hint::new("6651629bde4919e5", "start_invoke", start_transaction),
    Hint::new("66cd92e79fe72ef8", "start_deploy_account", start_transaction),
    Hint::new("cd4fe02ffb1b96df", "start_declare", start_transaction),
    Hint::new("8516477f53002501", "end_transaction", end_transaction),
    Hint::new("753cb3b5f8d34ce3", "is_reverted", is_reverted),
    Hint::new("b5f2f456ff8d1c7a", "sender_address", sender_address),
    Hint::new("a1c9bad2bd028238", "calldata_length", calldata_length),
    Hint::new("20afb0d7826863c2", "calldata", calldata),
    Hint::new("037f223f3c08e0ed", "entry_point_selector", entry_point_selector),
    Hint::new("8500ba03c7ceea17", "check_validate_result", check_validate_result),
    Hint::new("6d97873957114d73", "constructor", constructor),
    Hint::new("458cd0c183168ac7", "declared_class", declared_class),
    Hint::new("8f6bceb118e74876", "skip_declare", skip_declare),
    Hint::new("1d6988084bf9161b", "class_component_hashes", class_component_hashes),
];

/// A transaction of version 3.
enum V3<'a> {
    Declare(&'a DeclareTransactionV3),
    DeployAccount(&'a DeployAccountTransactionV3),
    Invoke(&'a InvokeTransactionV3),
}

fn v3<'input>(ctx: &HintContext<'_, 'input>) -> Result<V3<'input>, HintFailure> {
    match ctx.os.transaction()? {
        Transaction::Account(AccountTransaction::Declare(declare)) => match &declare.tx {
            DeclareTransaction::V3(declare) => Ok(V3::Declare(declare)),
            _ => Err(HintFailure::Unsupported { what: "a declare transaction before version 3" }),
        },
        Transaction::Account(AccountTransaction::DeployAccount(deploy)) => match &deploy.tx {
            DeployAccountTransaction::V3(deploy) => Ok(V3::DeployAccount(deploy)),
            _ => Err(HintFailure::Unsupported {
                what: "a deploy-account transaction before version 3",
            }),
        },
        Transaction::Account(AccountTransaction::Invoke(invoke)) => match &invoke.tx {
            InvokeTransaction::V3(invoke) => Ok(V3::Invoke(invoke)),
            _ => Err(HintFailure::Unsupported { what: "an invoke transaction before version 3" }),
        },
        Transaction::L1Handler(_) => Err(HintFailure::Unsupported { what: "an L1 handler" }),
    }
}

/// The same expression for a field that all three kinds have.
macro_rules! common_field {
    ($ctx:expr, $transaction:ident => $field:expr) => {
        match v3($ctx)? {
            V3::Declare($transaction) => $field,
            V3::DeployAccount($transaction) => $field,
            V3::Invoke($transaction) => $field,
        }
    };
}

fn invoke<'input>(
    ctx: &HintContext<'_, 'input>,
) -> Result<&'input InvokeTransactionV3, HintFailure> {
    match v3(ctx)? {
        V3::Invoke(invoke) => Ok(invoke),
        _ => Err(HintFailure::Unsupported {
            what: "a transaction that is no invoke, in an invoke's place",
        }),
    }
}

fn declare<'input>(
    ctx: &HintContext<'_, 'input>,
) -> Result<&'input DeclareTransactionV3, HintFailure> {
    match v3(ctx)? {
        V3::Declare(declare) => Ok(declare),
        _ => Err(HintFailure::Unsupported {
            what: "a transaction that is no declare, in a declare's place",
        }),
    }
}

// Around the transactions.

/// Remembers where the SHA-256 compressions of the block go.
fn set_sha256_segment(ctx: &mut HintContext<'_, '_>) -> HintResult {
    ctx.os.syscalls.sha256_segment = Some(ctx.ptr("sha256_ptr")?);
    Ok(())
}

/// A segment for the range checks of the transactions, which is moved behind those of the OS later.
fn reserved_range_checks(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let segment = ctx.vm.add_temporary_segment();
    ctx.set_ap(segment)
}

fn number_of_transactions(ctx: &mut HintContext<'_, '_>) -> HintResult {
    ctx.set_fp(12, Felt::from(ctx.os.input.transactions.len()))
}

fn enter_transactions(ctx: &mut HintContext<'_, '_>) -> HintResult {
    ctx.enter_scope([])
}

/// Zeros the 96-bit range checks that no contract wrote.
fn fill_range_check96_holes(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let end = ctx.ptr("range_check96_ptr")?;
    let start = (end - end.offset)?;
    for offset in 0..end.offset {
        let address = (start + offset)?;
        if ctx.vm.get_maybe(&address).is_none() {
            ctx.vm.insert_value(address, Felt::ZERO)?;
        }
    }
    Ok(())
}

fn report_progress(ctx: &mut HintContext<'_, '_>) -> HintResult {
    tracing::trace!(left = %ctx.felt("n_txs")?, step = ctx.vm.get_current_step(), "transactions left");
    Ok(())
}

/// Takes the next transaction, and guesses its kind and resource bounds.
fn load_transaction(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let transaction = ctx.os.load_transaction()?;
    ctx.set("tx_type", transaction.tx_type().tx_type_as_felt())?;
    let bounds = common_field!(ctx, transaction => transaction.resource_bounds);
    let bounds = match bounds {
        ValidResourceBounds::AllResources(bounds) => vec![
            (&b"L1_GAS"[..], bounds.l1_gas),
            (b"L2_GAS", bounds.l2_gas),
            (b"L1_DATA", bounds.l1_data_gas),
        ],
        ValidResourceBounds::L1Gas(l1_gas) => {
            vec![(&b"L1_GAS"[..], l1_gas), (b"L2_GAS", ResourceBounds::default())]
        }
    };
    let words: Vec<Felt> = bounds
        .iter()
        .flat_map(|(name, bounds)| {
            [
                Felt::from_bytes_be_slice(name),
                Felt::from(bounds.max_amount.0),
                Felt::from(bounds.max_price_per_unit.0),
            ]
        })
        .collect();
    let segment = ctx.new_segment(&words)?;
    ctx.set("resource_bounds", segment)?;
    ctx.set("n_resource_bounds", Felt::from(bounds.len()))
}

fn unload_transaction(ctx: &mut HintContext<'_, '_>) -> HintResult {
    ctx.os.unload_transaction();
    Ok(())
}

/// Guesses whether there is more gas than a validation or an execution may get.
fn gas_exceeds_maximum(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let exceeds = ctx.felt("remaining_gas")? > ctx.felt("max_gas")?;
    ctx.set_ap_bit(exceeds)
}

fn start_transaction(ctx: &mut HintContext<'_, '_>) -> HintResult {
    ctx.os.start_transaction()
}

fn end_transaction(ctx: &mut HintContext<'_, '_>) -> HintResult {
    ctx.os.end_transaction()
}

/// Guesses the fee that was charged.
fn actual_fee(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let fee = ctx.os.execution_info()?.receipt.fee;
    ctx.set_ap(Felt::from(fee.0))
}

/// Guesses whether the execution was reverted: the OS then skips it.
fn is_reverted(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let reverted = ctx.os.execution_info()?.revert_error.is_some();
    ctx.set_ap_bit(reverted)
}

/// Checks that the OS computed the transaction's hash.
fn check_transaction_hash(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let (expected, found) = (ctx.os.transaction()?.tx_hash().0, ctx.felt("transaction_hash")?);
    if found != expected {
        return Err(HintFailure::Mismatch {
            what: "transaction hash",
            expected: expected.to_hex_string(),
            found: found.to_hex_string(),
        });
    }
    Ok(())
}

/// Warns of a validation that did not end well, before the OS fails for it.
fn check_validate_result(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let length = ctx.usize("retdata_size")?;
    let result = ctx.read(ctx.ptr("retdata")?, length.min(100))?;
    if result != [Felt::from_bytes_be_slice(VALIDATED)] {
        tracing::warn!(length, ?result, "__validate__ did not return VALID");
    }
    Ok(())
}

// Fields.

fn version(ctx: &mut HintContext<'_, '_>) -> HintResult {
    v3(ctx)?;
    ctx.set_ap(TransactionVersion::THREE.0)
}

/// Version 3 has resource bounds in its place.
fn max_fee(ctx: &mut HintContext<'_, '_>) -> HintResult {
    v3(ctx)?;
    ctx.set_ap(Felt::ZERO)
}

fn nonce(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let nonce = common_field!(ctx, transaction => transaction.nonce.0);
    ctx.set_ap(nonce)
}

fn tip(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let tip = common_field!(ctx, transaction => transaction.tip.0);
    ctx.set_ap(Felt::from(tip))
}

fn paymaster_data_length(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let length = common_field!(ctx, transaction => transaction.paymaster_data.0.len());
    ctx.set_ap(Felt::from(length))
}

fn paymaster_data(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let data = common_field!(ctx, transaction => &transaction.paymaster_data.0);
    let segment = ctx.new_segment(data)?;
    ctx.set_ap(segment)
}

fn mode(mode: DataAvailabilityMode) -> Felt {
    match mode {
        DataAvailabilityMode::L1 => Felt::ZERO,
        DataAvailabilityMode::L2 => Felt::ONE,
    }
}

fn nonce_data_availability_mode(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let found = common_field!(ctx, transaction => transaction.nonce_data_availability_mode);
    ctx.set_ap(mode(found))
}

fn fee_data_availability_mode(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let found = common_field!(ctx, transaction => transaction.fee_data_availability_mode);
    ctx.set_ap(mode(found))
}

fn account_deployment<'input>(
    ctx: &HintContext<'_, 'input>,
) -> Result<&'input [Felt], HintFailure> {
    match v3(ctx)? {
        V3::Declare(declare) => Ok(&declare.account_deployment_data.0),
        V3::Invoke(invoke) => Ok(&invoke.account_deployment_data.0),
        V3::DeployAccount(_) => Err(HintFailure::Unsupported {
            what: "account deployment data of a deploy-account transaction",
        }),
    }
}

fn account_deployment_data_length(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let length = account_deployment(ctx)?.len();
    ctx.set_ap(Felt::from(length))
}

fn account_deployment_data(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let data = account_deployment(ctx)?;
    let segment = ctx.new_segment(data)?;
    ctx.set_ap(segment)
}

fn signature(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let signature = common_field!(ctx, transaction => &transaction.signature.0);
    let segment = ctx.new_segment(signature)?;
    ctx.set("signature_start", segment)?;
    ctx.set("signature_len", Felt::from(signature.len()))
}

fn sender_address(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let sender = *invoke(ctx)?.sender_address.0.key();
    ctx.set("contract_address", sender)
}

fn calldata_length(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let length = invoke(ctx)?.calldata.0.len();
    ctx.set_ap(Felt::from(length))
}

fn calldata(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let calldata = &invoke(ctx)?.calldata.0;
    let segment = ctx.new_segment(calldata)?;
    ctx.set_ap(segment)
}

/// An account is always entered by `__execute__`.
fn entry_point_selector(ctx: &mut HintContext<'_, '_>) -> HintResult {
    invoke(ctx)?;
    ctx.set_ap(selector_from_name(EXECUTE_ENTRY_POINT_NAME).0)
}

/// Guesses salt, class and constructor arguments of the account that is deployed.
fn constructor(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let V3::DeployAccount(deploy) = v3(ctx)? else {
        return Err(HintFailure::Unsupported {
            what: "a constructor in a transaction that deploys nothing",
        });
    };
    ctx.set("contract_address_salt", deploy.contract_address_salt.0)?;
    ctx.set("class_hash", deploy.class_hash.0)?;
    ctx.set("constructor_calldata_size", Felt::from(deploy.constructor_calldata.0.len()))?;
    let segment = ctx.new_segment(&deploy.constructor_calldata.0)?;
    ctx.set("constructor_calldata", segment)
}

/// Guesses who declares what.
fn declared_class(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let declare = declare(ctx)?;
    ctx.set("tx_version", TransactionVersion::THREE.0)?;
    ctx.set("sender_address", *declare.sender_address.0.key())?;
    let class_hash = ctx.new_segment(&[declare.class_hash.0])?;
    ctx.set("class_hash_ptr", class_hash)?;
    ctx.set("compiled_class_hash", declare.compiled_class_hash.0)
}

/// Only declare transactions of version 0 are skipped, and those are not supported.
fn skip_declare(_: &mut HintContext<'_, '_>) -> HintResult {
    Err(HintFailure::Unsupported { what: "a declare transaction of version 0" })
}

/// Guesses the preimage of the declared class hash.
fn class_component_hashes(ctx: &mut HintContext<'_, '_>) -> HintResult {
    let class_hash = declare(ctx)?.class_hash;
    let components = ctx.os.input.class_components.get(&class_hash);
    let components = components
        .ok_or(HintFailure::Missing { what: "component hashes of class", key: class_hash.0 })?;
    let segment = ctx.new_segment(components)?;
    ctx.set("contract_class_component_hashes", segment)
}
