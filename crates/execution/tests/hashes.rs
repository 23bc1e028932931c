//! Hashes against values that others computed: a published block of protocol version 0.13.4 (which hashes blocks
//! as 0.13.5 does, but for the version's name), `starknet_api`'s own
//! asynchronous calculator, and the Sierra compiler's compiled class hash.

use std::sync::Arc;

use serde_json::Value;
use sidereal_execution::block::BlockEnvironment;
use sidereal_execution::classes::{
    ClassError, CompilationLimits, ExecutionMode, compile_sierra, compiled_class_hash,
};
use sidereal_execution::header::{BlockHeader, block_header, hashing_data};
use sidereal_execution::limits::ProofLoad;
use sidereal_execution::outcome::{BlockExecution, InitialReads, TransactionReceipt};
use sidereal_execution::testing::{TestChain, contract, contracts_folder, invoke, transfer};
use sidereal_execution::transaction::BlockTransaction;
use starknet_api::block::{
    BlockHash, BlockNumber, BlockTimestamp, GasPricePerToken, StarknetVersion,
};
use starknet_api::block_hash::block_hash_calculator::{calculate_block_commitments, concat_counts};
use starknet_api::core::{ChainId, ContractAddress, GlobalRoot, StateDiffCommitment};
use starknet_api::data_availability::L1DataAvailabilityMode;
use starknet_api::execution_resources::{GasAmount, GasVector};
use starknet_api::hash::PoseidonHash;
use starknet_api::state::ThinStateDiff;
use starknet_api::transaction::fields::{Fee, TransactionSignature};
use starknet_api::transaction::{
    InvokeTransaction, InvokeTransactionV1, RevertedTransactionExecutionStatus, Transaction,
    TransactionExecutionStatus, TransactionHash,
};
use starknet_types_core::felt::Felt;

fn felt(value: &Value) -> Felt {
    Felt::from_hex_unchecked(value.as_str().expect("a string"))
}

fn address(value: &Value) -> ContractAddress {
    ContractAddress::try_from(felt(value)).expect("an address")
}

fn amount(value: &Value) -> GasAmount {
    GasAmount(value.as_u64().expect("an amount"))
}

fn price(value: &Value) -> GasPricePerToken {
    serde_json::from_value(value.clone()).expect("a price")
}

fn published_transaction(value: &Value) -> (BlockTransaction, TransactionReceipt) {
    let hash = TransactionHash(felt(&value["transaction_hash"]));
    let signature = value["signature"].as_array().unwrap().iter().map(felt).collect();
    // The commitments know a transaction by hash and signature only.
    let transaction = Transaction::Invoke(InvokeTransaction::V1(InvokeTransactionV1 {
        signature: TransactionSignature(Arc::new(signature)),
        ..InvokeTransactionV1::default()
    }));
    let execution_status = match value["execution_status"].as_str().unwrap() {
        "SUCCEEDED" => TransactionExecutionStatus::Succeeded,
        _ => TransactionExecutionStatus::Reverted(RevertedTransactionExecutionStatus {
            revert_reason: value["revert_error"].as_str().unwrap().to_owned(),
        }),
    };
    let gas = &value["total_gas_consumed"];
    let receipt = TransactionReceipt {
        hash,
        execution_status,
        actual_fee: Fee(u128::try_from(felt(&value["actual_fee"])).unwrap()),
        gas_consumed: GasVector {
            l1_gas: amount(&gas["l1_gas"]),
            l1_data_gas: amount(&gas["l1_data_gas"]),
            l2_gas: amount(&gas["l2_gas"]),
        },
        da_gas: GasVector::default(),
        events: serde_json::from_value(value["events"].clone()).unwrap(),
        messages_sent: Vec::new(),
        contract_address: None,
        proof_load: ProofLoad::default(),
    };
    assert_eq!(value["messages"].as_array().unwrap().len(), 0);
    (BlockTransaction { hash, transaction }, receipt)
}

#[test]
fn a_published_block_has_the_hash_computed_here() {
    let block: Value =
        serde_json::from_str(include_str!("data/sepolia_integration_64820.json")).unwrap();
    assert_eq!(block["starknet_version"], "0.13.4");
    let (transactions, receipts): (Vec<_>, Vec<_>) =
        block["transactions"].as_array().unwrap().iter().map(published_transaction).unzip();
    let events: usize = receipts.iter().map(|receipt| receipt.events.len()).sum();
    assert_eq!(block["l1_da_mode"], "BLOB");
    let environment = BlockEnvironment {
        number: BlockNumber(block["block_number"].as_u64().unwrap()),
        timestamp: BlockTimestamp(block["timestamp"].as_u64().unwrap()),
        sequencer_address: address(&block["sequencer_address"]),
        l1_gas_price: price(&block["l1_gas_price"]),
        l1_data_gas_price: price(&block["l1_data_gas_price"]),
        l2_gas_price: price(&block["l2_gas_price"]),
        l1_da_mode: L1DataAvailabilityMode::Blob,
        chain_id: ChainId::IntegrationSepolia,
        parent_hash: BlockHash(felt(&block["parent_block_hash"])),
        old_block: None,
    };
    let count = transactions.len();
    let execution = BlockExecution {
        environment,
        transactions,
        receipts,
        state_diff: ThinStateDiff::default(),
        initial_reads: InitialReads::default(),
        executed_classes: Default::default(),
        proof_load: ProofLoad::default(),
    };
    let mut header = block_header(&execution, GlobalRoot(felt(&block["state_root"]))).unwrap();
    let commitments = &mut header.commitments;
    assert_eq!(commitments.transaction_commitment.0, felt(&block["transaction_commitment"]));
    assert_eq!(commitments.event_commitment.0, felt(&block["event_commitment"]));
    assert_eq!(commitments.receipt_commitment.0, felt(&block["receipt_commitment"]));

    // The block was published without its state diff, but with the commitment to it.
    commitments.state_diff_commitment =
        StateDiffCommitment(PoseidonHash(felt(&block["state_diff_commitment"])));
    let length = usize::try_from(block["state_diff_length"].as_u64().unwrap()).unwrap();
    commitments.concatenated_counts =
        concat_counts(count, events, length, L1DataAvailabilityMode::Blob);
    let hash = header.compute_hash_as(StarknetVersion::V0_13_4).unwrap();
    assert_eq!(hash.0, felt(&block["block_hash"]));
    assert_ne!(header.compute_hash().unwrap(), hash);
}

#[tokio::test]
async fn commitments_are_those_of_the_reference_calculator() {
    let mut chain = TestChain::new(ExecutionMode::Vm);
    let (alice, bob) = (chain.account(0).clone(), chain.account(1).clone());
    let block = chain.block(&[
        invoke(&alice, 0, &[transfer(bob.address, 1)]),
        invoke(&bob, 0, &[transfer(alice.address, 2), transfer(alice.address, 3)]),
    ]);
    let execution = &block.execution;
    let data: Vec<_> = execution
        .transactions
        .iter()
        .zip(&execution.receipts)
        .map(|(transaction, receipt)| hashing_data(transaction, receipt))
        .collect();
    let (expected, _) = calculate_block_commitments(
        &data,
        execution.state_diff.clone(),
        execution.environment.l1_da_mode,
        &sidereal_execution::block::PROTOCOL_VERSION,
    )
    .await;
    assert_eq!(block.header.commitments, expected);
    assert!(block.header.event_count >= 5, "three transfers and two fees");
    assert!(block.header.is_consistent().unwrap());
}

#[test]
fn every_header_field_is_hashed_or_checked() {
    let mut chain = TestChain::new(ExecutionMode::Vm);
    let header = chain.block(&[]).header;
    type Change = fn(&mut BlockHeader);
    let changes: [(&str, Change); 12] = [
        ("number", |header| header.number.0 += 1),
        ("parent hash", |header| header.parent_hash.0 += Felt::ONE),
        ("state root", |header| header.state_root.0 += Felt::ONE),
        ("timestamp", |header| header.timestamp.0 += 1),
        ("sequencer", |header| header.sequencer_address = ContractAddress::from(1_u8)),
        ("L1 gas price", |header| header.l1_gas_price.price_in_fri.0 += 1),
        ("L1 data gas price", |header| header.l1_data_gas_price.price_in_wei.0 += 1),
        ("L2 gas price", |header| header.l2_gas_price.price_in_fri.0 += 1),
        ("DA mode", |header| header.l1_da_mode = L1DataAvailabilityMode::Calldata),
        ("transactions", |header| header.transaction_count += 1),
        ("events", |header| header.event_count += 1),
        ("state diff", |header| header.state_diff_length += 1),
    ];
    assert!(header.is_consistent().unwrap());
    for (what, change) in changes {
        let mut changed = header.clone();
        change(&mut changed);
        assert!(!changed.is_consistent().unwrap(), "{what}");
    }
    let mut changed = header;
    changed.starknet_version = "0.13.4".to_owned();
    changed.is_consistent().unwrap_err();
}

/// The set-up's compiler and the gateway's must agree, or no declare of ours would be accepted.
#[test]
fn sierra_compiles_to_the_casm_of_the_set_up() {
    for name in ["account", "erc20", "udc", "counter", "fibonacci", "factorial"] {
        let expected = contract(name);
        let json = std::fs::read(contracts_folder().join(format!("{name}.sierra.json"))).unwrap();
        let compiled = compile_sierra(&json, &CompilationLimits::default()).unwrap();
        assert_eq!(compiled.class_hash, expected.class_hash(), "{name}");
        assert_eq!(
            compiled.compiled_class_hash,
            compiled_class_hash(&expected.casm).unwrap(),
            "{name}"
        );
        // The RPC form, whose ABI is a string, is the same class.
        let rpc = serde_json::to_vec(&compiled.sierra).unwrap();
        let again = compile_sierra(&rpc, &CompilationLimits::default()).unwrap();
        assert_eq!(again.class_hash, compiled.class_hash);
    }
}

#[test]
fn sierra_that_does_not_compile_is_refused() {
    let limits = CompilationLimits::default();
    let json = std::fs::read(contracts_folder().join("counter.sierra.json")).unwrap();
    let good: Value = serde_json::from_slice(&json).unwrap();
    let compile = |class: &Value| compile_sierra(&serde_json::to_vec(class).unwrap(), &limits);
    assert!(matches!(compile_sierra(b"{}", &limits), Err(ClassError::ParseSierra(_))));
    assert!(matches!(compile_sierra(b"\xff", &limits), Err(ClassError::ParseSierra(_))));

    let mut cut = good.clone();
    cut["sierra_program"].as_array_mut().unwrap().truncate(200);
    assert!(matches!(
        compile(&cut),
        Err(ClassError::Compilation { .. } | ClassError::CompilerPanicked { .. })
    ));
    let mut empty = good.clone();
    empty["sierra_program"] = Value::Array(Vec::new());
    assert!(matches!(compile(&empty), Err(ClassError::Compilation { .. })));
    let mut missing = good.clone();
    missing["entry_points_by_type"]["EXTERNAL"][0]["function_idx"] = Value::from(100_000);
    assert!(matches!(
        compile(&missing),
        Err(ClassError::Compilation { .. } | ClassError::CompilerPanicked { .. })
    ));
    // Any felt of the program changed at random: an error or another class, never a panic.
    let length = good["sierra_program"].as_array().unwrap().len();
    for position in (3..length).step_by(97) {
        let mut changed = good.clone();
        changed["sierra_program"][position] = Value::from("0x7fffffff");
        let _ = compile(&changed);
    }
    let small = CompilationLimits { sierra_felts: 100, ..limits };
    assert!(matches!(compile_sierra(&json, &small), Err(ClassError::TooLarge { .. })));
    let small = CompilationLimits { sierra_json_bytes: 1_000, ..limits };
    assert!(matches!(compile_sierra(&json, &small), Err(ClassError::TooLarge { .. })));
    let small = CompilationLimits { bytecode_felts: 100, ..limits };
    assert!(compile_sierra(&json, &small).is_err());
}
