//! StarknetOS over contracts that make every syscall, by way of the contract `probe`.

mod common;

use std::sync::Arc;

use common::{accepted, check_in_full, contract_of_class, deploy, reverted};
use sidereal_execution::StateReader as _;
use sidereal_execution::classes::{ExecutionMode, compiled_class_hash};
use sidereal_execution::genesis::DevAccount;
use sidereal_execution::limits::BlockLimits;
use sidereal_execution::testing::{Call, TestBlock, TestChain, contract, declare, invoke, sign};
use starknet_api::abi::abi_utils::selector_from_name;
use starknet_api::core::{ClassHash, ContractAddress};
use starknet_api::state::StorageKey;
use starknet_api::transaction::fields::{AllResourceBounds, Tip, ValidResourceBounds};
use starknet_api::transaction::{InvokeTransaction, Transaction};
use starknet_types_core::felt::Felt;

/// A chain with two instances of `probe`.
struct Probed {
    chain: TestChain,
    account: DevAccount,
    nonce: u64,
    class_hash: ClassHash,
    probe: ContractAddress,
    other: ContractAddress,
}

impl Probed {
    fn new() -> Self {
        Self::on(TestChain::new(ExecutionMode::Vm))
    }

    fn on(mut chain: TestChain) -> Self {
        let account = chain.account(0).clone();
        let class = contract("probe");
        let class_hash = class.class_hash();
        chain.classes.insert(Arc::new(class.clone()));
        accepted(&chain.block(&[declare(&account, 0, &class)]));
        let [probe, other] = [1, 2].map(|nonce| {
            let block = chain.block(&[invoke(&account, nonce, &[deploy(class_hash, nonce, &[])])]);
            accepted(&block);
            contract_of_class(&block, class_hash)
        });
        Self { chain, account, nonce: 3, class_hash, probe, other }
    }

    fn call(&self, function: &'static str, calldata: &[Felt]) -> Call {
        Call { to: self.probe, function, calldata: calldata.to_vec() }
    }

    /// A block with one transaction, which makes these calls.
    fn block(&mut self, calls: &[Call]) -> TestBlock {
        // Messages to L1 cost more than the usual bounds.
        self.block_with(calls, |_, bounds| bounds.l1_gas.max_amount.0 *= 100)
    }

    /// [`Self::block`] with a transaction of another tip, or of other bounds.
    fn block_with(
        &mut self,
        calls: &[Call],
        change: impl FnOnce(&mut Tip, &mut AllResourceBounds),
    ) -> TestBlock {
        let transaction = invoke(&self.account, self.nonce, calls).transaction;
        let Transaction::Invoke(InvokeTransaction::V3(mut invoke)) = transaction else {
            panic!("it is an invoke")
        };
        let ValidResourceBounds::AllResources(bounds) = &mut invoke.resource_bounds else {
            panic!("the bounds are of all resources")
        };
        change(&mut invoke.tip, bounds);
        let transaction =
            sign(Transaction::Invoke(InvokeTransaction::V3(invoke)), self.account.private_key);
        self.nonce += 1;
        self.chain.limited_block(&[transaction], BlockLimits::none())
    }

    /// What a block left in a storage cell of `probe`.
    fn written(&self, block: &TestBlock, key: Felt) -> Option<Felt> {
        let cells = block.execution.state_diff.storage_diffs.get(&self.probe)?;
        cells.get(&StorageKey::try_from(key).unwrap()).copied()
    }

    /// A block whose calls must succeed, and whose run must agree.
    fn run(&mut self, calls: &[Call]) {
        let block = self.block(calls);
        accepted(&block);
        check_in_full(&block.witness);
    }
}

fn felts<const N: usize>(numbers: [u64; N]) -> Vec<Felt> {
    numbers.map(Felt::from).to_vec()
}

fn selector(function: &str) -> Felt {
    selector_from_name(function).0
}

/// Arguments of a call within a call.
fn inner(to: Felt, function: &str, calldata: &[Felt]) -> Vec<Felt> {
    [&[to, selector(function), Felt::from(calldata.len())], calldata].concat()
}

/// A number of 256 bits from its hexadecimal digits, as two felts.
fn u256(digits: &str) -> [Felt; 2] {
    let digits = format!("{digits:0>64}");
    let part = |part: &str| Felt::from_hex(&format!("0x{part}")).unwrap();
    [part(&digits[32..]), part(&digits[..32])]
}

/// Reads and writes, many keys, and a write of what is there already.
#[test]
fn storage() {
    let mut probed = Probed::new();
    probed.run(&[
        probed.call("storage_write", &felts([5, 6])),
        probed.call("storage_read", &felts([5])),
        probed.call("storage_write", &felts([5, 6])),
    ]);
    probed.run(&[probed.call("storage_sweep", &felts([1_000_000, 40]))]);
    probed.run(&[probed.call("storage_read", &felts([123_456]))]);
}

/// Events are checked against gas only; messages are in the output.
#[test]
fn events_and_messages() {
    let mut probed = Probed::new();
    probed.run(&[
        probed.call("emit", &felts([2, 1, 2, 1, 3])),
        probed.call("send_message", &felts([0xabc, 3, 7, 8, 9])),
        probed.call("send_message", &felts([0xdef, 0])),
    ]);
}

/// Calls of other contracts, and of other classes on the caller's own storage.
#[test]
fn calls_and_library_calls() {
    let mut probed = Probed::new();
    let other = *probed.other.0.key();
    let nested = inner(other, "storage_write", &felts([3, 4]));
    probed.run(&[
        probed.call("call", &inner(other, "storage_write", &felts([1, 2]))),
        probed.call("call", &inner(*probed.probe.0.key(), "call", &nested)),
        probed.call("library_call", &inner(probed.class_hash.0, "storage_write", &felts([8, 9]))),
        probed.call("call_catching", &inner(other, "storage_read", &felts([1]))),
    ]);
}

/// A call fails and its caller goes on: what the callee wrote, also through calls of its own, is undone.
#[test]
fn reverted_calls() {
    let mut probed = Probed::new();
    let other = *probed.other.0.key();
    let own = *probed.probe.0.key();
    let failing = inner(other, "write_and_panic", &felts([1, 77]));
    probed.run(&[probed.call("call_catching", &failing)]);
    // The caller wrote the same contract before, and writes it again afterwards.
    probed.run(&[
        probed.call("call", &inner(other, "storage_write", &felts([1, 5]))),
        probed.call("call_catching", &failing),
        probed.call("call", &inner(other, "storage_write", &felts([1, 6]))),
    ]);
    // The failure passes through a call that does not catch it, and that wrote itself.
    probed.run(&[probed.call("call_catching", &inner(own, "call", &failing))]);
    // A failure is caught inside a call that fails in turn.
    let caught = inner(own, "call_catching", &failing);
    probed.run(&[
        probed.call("call_catching", &inner(other, "call", &caught)),
        probed.call("storage_write", &felts([1, 1])),
    ]);
}

/// Calls that fail before any code of the callee runs.
#[test]
fn calls_of_what_is_not_there() {
    let mut probed = Probed::new();
    let other = *probed.other.0.key();
    probed.run(&[probed.call("call_catching", &inner(other, "no_such_function", &[]))]);
}

/// A transaction that fails as a whole pays and changes nothing else.
#[test]
fn a_reverted_transaction() {
    let mut probed = Probed::new();
    let calls = [
        probed.call("storage_write", &felts([1, 2])),
        probed.call("write_and_panic", &felts([3, 4])),
    ];
    let block = probed.block(&calls);
    assert_eq!(reverted(&block), [true]);
    check_in_full(&block.witness);
}

/// Contracts are deployed by a contract, at addresses of both kinds; and again at the same address, which
/// fails as a whole.
#[test]
fn deployments() {
    let mut probed = Probed::new();
    let class = probed.class_hash.0;
    let arguments = |salt: u64, from_zero: u64| {
        vec![class, Felt::from(salt), Felt::ZERO, Felt::from(from_zero)]
    };
    probed
        .run(&[probed.call("deploy", &arguments(10, 0)), probed.call("deploy", &arguments(11, 1))]);
    let again = [probed.call("deploy", &arguments(10, 0))];
    let block = probed.block(&again);
    assert_eq!(reverted(&block), [true]);
    check_in_full(&block.witness);
}

/// A contract is deployed by a call within a call.
#[test]
fn a_deployment_by_an_inner_call() {
    let mut probed = Probed::new();
    let own = *probed.probe.0.key();
    let deploy = [probed.class_hash.0, Felt::from(10), Felt::ZERO, Felt::ONE];
    probed.run(&[probed.call("call", &inner(own, "deploy", &deploy))]);
}

/// A call deploys, and fails: the contract is not there, its caller goes on, and deploys the same one.
#[test]
fn a_deployment_in_a_call_that_fails() {
    let mut probed = Probed::new();
    let own = *probed.probe.0.key();
    let arguments = [probed.class_hash.0, Felt::from(10), Felt::ZERO];
    let failing = probed.call("call_catching", &inner(own, "deploy_and_panic", &arguments));
    let then = probed.call("storage_write", &felts([1, 2]));
    let block = probed.block(&[failing.clone(), then]);
    accepted(&block);
    assert!(block.execution.state_diff.deployed_contracts.is_empty());
    assert_eq!(probed.written(&block, Felt::ONE), Some(Felt::TWO));
    check_in_full(&block.witness);

    let deploy = [probed.class_hash.0, Felt::from(10), Felt::ZERO, Felt::ONE];
    let deploy = probed.call("deploy", &deploy);
    let block = probed.block(&[failing, deploy]);
    accepted(&block);
    assert_eq!(block.execution.state_diff.deployed_contracts.len(), 1);
    check_in_full(&block.witness);
}

/// A class that is looked up by nothing but what a transaction undid: StarknetOS loads it all the same.
#[test]
fn a_class_that_only_a_reverted_transaction_looks_up() {
    let mut probed = Probed::new();
    let counter = contract("counter");
    let account = probed.chain.account(1).clone();
    probed.chain.classes.insert(Arc::new(counter.clone()));
    accepted(&probed.chain.block(&[declare(&account, 0, &counter)]));
    let arguments = [counter.class_hash().0, Felt::from(10), Felt::ONE, Felt::from(3)];
    let block = probed.block(&[probed.call("deploy_and_panic", &arguments)]);
    assert_eq!(reverted(&block), [true]);
    check_in_full(&block.witness);
    // By a call that was caught.
    let own = *probed.probe.0.key();
    probed.run(&[probed.call("call_catching", &inner(own, "deploy_and_panic", &arguments))]);
}

/// A call runs out of gas: within a system call that asks for more than there is, and in its own code. What is left
/// of the gas is enough for its caller, which goes on.
#[test]
fn calls_that_run_out_of_gas() {
    let mut probed = Probed::new();
    let own = *probed.probe.0.key();
    let caught = probed.call("call_catching", &inner(own, "keccak", &felts([100])));
    let then = probed.call("storage_write", &felts([1, 2]));
    // 100 permutations take 13.6 million.
    let block = probed.block_with(&[caught, then], |_, bounds| {
        bounds.l2_gas.max_amount.0 = 12_000_000;
    });
    accepted(&block);
    assert_eq!(probed.written(&block, Felt::ONE), Some(Felt::TWO));
    assert!(block.execution.receipts[0].gas_consumed.l2_gas.0 < 12_000_000);
    check_in_full(&block.witness);

    let caught = probed.call("call_catching", &inner(own, "burn_gas", &felts([1_000])));
    let mut survived = 0;
    for step in 0..8 {
        let block = probed.block_with(std::slice::from_ref(&caught), |_, bounds| {
            bounds.l2_gas.max_amount.0 = 8_000_000 + 100_000 * step;
        });
        // What the call wrote is undone, whether its caller has enough left or not.
        assert_eq!(probed.written(&block, Felt::from(1_000)), None);
        survived += usize::from(reverted(&block) == [false]);
        check_in_full(&block.witness);
    }
    assert!(survived > 0, "an iteration takes more gas than what follows");
    assert!(survived < 8, "the transaction never has too little for what follows");
}

/// Some accounts of Starknet's own past work only with transactions that call themselves version 1. For their classes
/// the system says so, unless the tip is high.
#[test]
fn accounts_bound_to_version_1() {
    const BOUND: Felt = Felt::from_hex_unchecked(
        "0x1a736d6ed154502257f02b1ccdf4d9d1089f80811cd6acad48e6b6a9d1f2003",
    );
    const MAX_TIP: u64 = 0x0746_a528_8000;
    let class = contract("probe");
    let compiled = compiled_class_hash(&class.casm).unwrap();
    let chain = TestChain::with_genesis(ExecutionMode::Vm, |genesis| {
        let classes = &mut genesis.state_diff.class_hash_to_compiled_class_hash;
        classes.insert(ClassHash(BOUND), compiled);
    });
    chain.classes.insert_as(ClassHash(BOUND), Arc::new(class));
    let mut probed = Probed::on(chain);
    let record = probed.call("library_call", &inner(BOUND, "record_execution_info", &[]));
    let version_key = Felt::from_bytes_be_slice(b"info") + Felt::THREE;
    for (offered, version) in [(0, 1_u64), (MAX_TIP, 1), (MAX_TIP + 1, 3)] {
        let block = probed.block_with(std::slice::from_ref(&record), |tip, bounds| {
            *tip = Tip(offered);
            bounds.l2_gas.max_amount.0 = 20_000_000;
        });
        accepted(&block);
        let expected = Felt::from(version);
        let key = StorageKey::try_from(version_key).unwrap();
        let found = probed.chain.block_state().get_storage_at(probed.probe, key);
        assert_eq!(found.unwrap(), expected, "tip {offered}");
        check_in_full(&block.witness);
    }
    // A class that is not listed sees what was sent.
    probed.run(&[probed.call("record_execution_info", &[])]);
}

/// A contract replaces its class; the class of a contract is read.
#[test]
fn classes() {
    let mut probed = Probed::new();
    let account_class = probed.chain.genesis.state_diff.deployed_contracts[&probed.account.address];
    let other = *probed.other.0.key();
    probed.run(&[
        probed.call("class_hash_at", &[other]),
        probed.call("class_hash_at", &felts([0x1234_5678])),
        probed.call("call", &inner(other, "replace_class", &[account_class.0])),
        probed.call("class_hash_at", &[other]),
    ]);
}

/// The block, the transaction and the call, as a contract sees them.
#[test]
fn execution_info() {
    let mut probed = Probed::new();
    probed.run(&[probed.call("record_execution_info", &[])]);
}

/// The hash of an old block, and of one that is too recent.
#[test]
fn block_hashes() {
    let mut probed = Probed::new();
    let too_recent = [probed.call("block_hash", &felts([1]))];
    let block = probed.block(&too_recent);
    assert_eq!(reverted(&block), [true]);
    check_in_full(&block.witness);
    let own = *probed.probe.0.key();
    probed.run(&[probed.call("call_catching", &inner(own, "block_hash", &felts([1])))]);
    while probed.chain.headers.len() < 14 {
        probed.chain.block(&[]);
    }
    probed.run(&[probed.call("block_hash", &felts([1])), probed.call("block_hash", &felts([4]))]);
}

/// Hashes: Keccak and SHA-256 by syscall, Pedersen and Poseidon by builtin.
#[test]
fn hashes() {
    let mut probed = Probed::new();
    probed.run(&[
        probed.call("keccak", &felts([1])),
        probed.call("keccak", &felts([3])),
        probed.call("sha256", &felts([3])),
        probed.call("sha256", &felts([40])),
        probed.call("pedersen", &felts([3])),
        probed.call("poseidon", &felts([7])),
    ]);
}

/// More compressions than are checked at once.
#[test]
fn a_full_batch_of_sha256() {
    let mut probed = Probed::new();
    probed.run(&[probed.call("sha256", &felts([120]))]);
}

/// Points of secp256k1: recovery of a public key, and coordinates on the curve, off it, and out of range.
#[test]
fn secp256k1() {
    let mut probed = Probed::new();
    let signature = [
        u256("e888fbb4cf9ae6254f19ba12e6d9af54788f195a6f509ca3e934f78d7a71dd85"),
        u256("4c8e4fbc1fbb1dece52185e532812c4f7a5f81cf3ee10044320a0d03b62d3e9a"),
        u256("4ac5e5c0c0e8a4871583cc131f35fb49c2b7f60e6a8b84965830658f08f7410c"),
    ]
    .concat();
    let generator = [
        u256("79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"),
        u256("483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8"),
    ]
    .concat();
    probed.run(&[probed.call("secp256k1_public_key", &[&signature[..], &[Felt::ONE]].concat())]);
    probed.run(&[
        probed.call("secp256k1_is_on_curve", &generator),
        probed.call("secp256k1_is_on_curve", &[u256("1"), u256("1")].concat()),
        probed.call("secp256k1_is_on_curve", &[u256("5"), u256("1")].concat()),
        probed.call("secp256k1_is_on_curve", &[u256("0"), u256("0")].concat()),
    ]);
    let own = *probed.probe.0.key();
    let too_large = [u256(&"f".repeat(64)), u256("1")].concat();
    probed.run(&[probed.call("call_catching", &inner(own, "secp256k1_is_on_curve", &too_large))]);
}

/// Points of secp256r1: addition, multiplication, coordinates.
#[test]
fn secp256r1() {
    let mut probed = Probed::new();
    probed.run(&[
        probed.call("secp256r1_multiple", &u256("2")),
        probed.call("secp256r1_multiple", &u256("123456789abcdef0123456789abcdef0123456789")),
    ]);
}

/// The builtins that contracts reach without syscalls.
#[test]
fn builtins() {
    let mut probed = Probed::new();
    probed.run(&[
        probed.call("stark_curve_multiple", &felts([1, 12_345])),
        probed.call("bitwise", &felts([0xff00, 0x0ff0])),
        probed.call(
            "divide",
            &[u256("123456789abcdef0123456789abcdef0123456789"), u256("3")].concat(),
        ),
        probed.call("dictionary", &felts([20, 4])),
        probed.call("dictionary", &felts([5, 5])),
        probed.call("modular", &[u256("123456789abcdef"), u256("fedcba987654321")].concat()),
    ]);
}
