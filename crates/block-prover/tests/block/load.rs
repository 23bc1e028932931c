//! The predicted load of a block against what its proof really holds. A prediction that is too low closes blocks that
//! no proof holds; one that is too high closes them early.

use std::sync::Arc;

use sidereal_block_prover::{
    AdaptedRun, BlockError, ComponentRows, IgnoreProgress, ProveError, Prover, ProverSettings,
    run_block, verify_block,
};
use sidereal_execution::StateReader as _;
use sidereal_execution::block::STRK_TOKEN_ADDRESS;
use sidereal_execution::classes::ExecutionMode;
use sidereal_execution::genesis::{DevAccount, Genesis};
use sidereal_execution::limits::{BlockLimits, ProofLoad};
use sidereal_execution::testing::{
    Call, TestBlock, TestChain, contract, declare, deploy_account, invoke, new_account, sign,
    transfer,
};
use sidereal_execution::transaction::BlockTransaction;
use sidereal_starknet_os::Committed;
use starknet_api::abi::abi_utils::selector_from_name;
use starknet_api::core::{ClassHash, ContractAddress};
use starknet_api::data_availability::L1DataAvailabilityMode;
use starknet_api::state::StorageKey;
use starknet_api::transaction::fields::ValidResourceBounds;
use starknet_api::transaction::{InvokeTransaction, Transaction};
use starknet_types_core::felt::Felt;
use starknet_types_core::hash::{Poseidon, StarkHash};

/// Rows that a component of a proof may have.
const MAX_ROWS: u64 = 1 << 20;

fn felts<const N: usize>(numbers: [u64; N]) -> Vec<Felt> {
    numbers.map(Felt::from).to_vec()
}

/// An address (or, as a felt, a key) that depends on a number like a hash does.
fn spread(number: u64) -> Felt {
    let mut bytes = Poseidon::hash(&Felt::from(number), &Felt::ONE).to_bytes_be();
    // 251 bits, as long as the paths of a trie.
    bytes[0] &= 0x07;
    Felt::from_bytes_be(&bytes)
}

fn stranger(number: u64) -> ContractAddress {
    ContractAddress::try_from(spread(number)).unwrap()
}

/// What a proof of the run holds.
fn used(run: &AdaptedRun) -> ProofLoad {
    let of = |name: &str| {
        let uses = run.statistics.builtins.iter().filter(|(builtin, _)| builtin == name);
        uses.map(|(_, uses)| *uses).sum::<u64>()
    };
    let grows_with_steps = |name: &str| {
        name.contains("_opcode") || name == "memory_id_to_big" || name == "memory_id_to_small"
    };
    let rows = run.components.iter().filter(|(name, _)| grows_with_steps(name));
    ProofLoad {
        steps: run.statistics.steps,
        rows: rows.map(|(_, rows)| rows).max().unwrap(),
        poseidon: of("poseidon"),
        pedersen: of("pedersen"),
        range_check: of("range_check"),
        range_check96: of("range_check96"),
        bitwise: of("bitwise"),
        // The bootloader executes these in Cairo.
        ec_op: of("ec_op"),
        keccak: of("keccak"),
        modular: of("add_mod") + of("mul_mod"),
    }
}

/// A chain whose accounts send, with a list of what was predicted wrongly.
struct Bench {
    chain: TestChain,
    accounts: Vec<(DevAccount, u64)>,
    findings: Vec<String>,
}

impl Bench {
    fn new(mode: L1DataAvailabilityMode) -> Self {
        Self::with_genesis(mode, |_| {})
    }

    fn with_genesis(mode: L1DataAvailabilityMode, change: impl FnOnce(&mut Genesis)) -> Self {
        let mut chain = TestChain::with_genesis(ExecutionMode::Vm, change);
        chain.l1_da_mode = mode;
        let accounts = (0..10).map(|index| (chain.account(index).clone(), 0)).collect();
        Self { chain, accounts, findings: Vec::new() }
    }

    /// A transaction with bounds that also cover data in calldata.
    fn invoke(&mut self, account: u64, calls: &[Call]) -> BlockTransaction {
        let index = usize::try_from(account).unwrap() % self.accounts.len();
        let (account, nonce) = &mut self.accounts[index];
        *nonce += 1;
        let transaction = invoke(account, *nonce - 1, calls).transaction;
        let Transaction::Invoke(InvokeTransaction::V3(mut invoke)) = transaction else {
            panic!("it is an invoke")
        };
        let ValidResourceBounds::AllResources(bounds) = &mut invoke.resource_bounds else {
            panic!("the bounds are of all resources")
        };
        bounds.l1_gas.max_amount.0 *= 1_000;
        sign(Transaction::Invoke(InvokeTransaction::V3(invoke)), account.private_key)
    }

    fn declare(&mut self, name: &str) -> (BlockTransaction, ClassHash) {
        let class = contract(name);
        self.chain.classes.insert(Arc::new(class.clone()));
        let (account, nonce) = &mut self.accounts[9];
        *nonce += 1;
        (declare(account, *nonce - 1, &class), class.class_hash())
    }

    /// A contract of this class, which is declared if it is not.
    fn deployed(&mut self, name: &str) -> ContractAddress {
        let class_hash = contract(name).class_hash();
        let mut transactions = Vec::new();
        if self.chain.block_state().get_compiled_class(class_hash).is_err() {
            transactions.push(self.declare(name).0);
        }
        transactions.push(self.invoke(0, &[deploy(class_hash, 1)]));
        let block = self.chain.limited_block(&transactions, BlockLimits::none());
        let mut deployed = block.execution.state_diff.deployed_contracts.iter();
        *deployed.find(|(_, class)| **class == class_hash).expect("it is deployed").0
    }

    fn block(&mut self, what: &str, transactions: &[BlockTransaction]) -> TestBlock {
        let block = self.chain.limited_block(transactions, BlockLimits::none());
        let included = block.execution.transactions.len();
        assert_eq!(included, transactions.len(), "{what}: {:?}", block.executed);
        let run = run_block(&block.witness, &IgnoreProgress).unwrap();
        self.compare(what, &block.execution.proof_load, &used(&run));
        block
    }

    fn compare(&mut self, what: &str, predicted: &ProofLoad, used: &ProofLoad) {
        println!("{what}\n  predicted {predicted:?}\n  used      {used:?}");
        // Paths are predicted for tries that are larger than a test's: 40 steps and a range check for each hash more.
        let paths = predicted.pedersen.saturating_sub(used.pedersen);
        // Contracts that repeat one opcode would have as many rows as are predicted; these do not.
        let coarse = predicted.steps > 2 * used.steps + 40 * paths
            || predicted.rows > 3 * used.rows + 14 * paths
            || predicted.poseidon > 2 * used.poseidon + 100
            || predicted.range_check > 2 * used.range_check + paths + 5_000;
        if !used.fits(predicted) || coarse {
            self.findings.push(format!("{what}\n  predicted {predicted:?}\n  used {used:?}"));
        }
    }

    fn finish(self) {
        assert!(self.findings.is_empty(), "{}", self.findings.join("\n"));
    }
}

fn deploy(class: ClassHash, salt: u64) -> Call {
    let deployer = "0x041a78e741e5af2fec34b695679bc6891742439f7afb8484ecd7766661ad02bf";
    Call {
        to: ContractAddress::try_from(Felt::from_hex_unchecked(deployer)).unwrap(),
        function: "deployContract",
        calldata: vec![class.0, Felt::from(salt), Felt::ZERO, Felt::ZERO],
    }
}

fn call(to: ContractAddress, function: &'static str, calldata: Vec<Felt>) -> Call {
    Call { to, function, calldata }
}

/// Transfers to nobody's address and to an account's, by ten accounts.
fn transfers(bench: &mut Bench, sizes: &[u64]) {
    for size in sizes {
        let to_new: Vec<_> = (0..*size)
            .map(|index| bench.invoke(index, &[transfer(stranger(size * 1_000 + index), 1)]))
            .collect();
        bench.block(&format!("{size} transfers to new addresses"), &to_new);
    }
    let to = bench.accounts[3].0.address;
    let to_one: Vec<_> = (0..60).map(|index| bench.invoke(index, &[transfer(to, 1)])).collect();
    bench.block("60 transfers to one account", &to_one);
}

/// New classes, accounts and contracts.
fn new_code(bench: &mut Bench) {
    let account_class =
        bench.chain.genesis.state_diff.deployed_contracts[&bench.accounts[0].0.address];
    let (fibonacci, fibonacci_class) = bench.declare("fibonacci");
    bench.block("a small class", &[fibonacci]);
    let (probe, probe_class) = bench.declare("probe");
    bench.block("a large class", &[probe]);
    let carol = new_account(3, account_class);
    let funding = bench.invoke(0, &[transfer(carol.address, 10_u128.pow(21))]);
    bench.block("a new account", &[funding, deploy_account(&carol, account_class)]);
    let deploys = [
        bench.invoke(0, &[deploy(fibonacci_class, 2)]),
        bench.invoke(1, &[deploy(probe_class, 2)]),
    ];
    bench.block("two deploys", &deploys);
}

/// Each of these calls of `probe` in a block of its own, then failing ones.
fn probes(bench: &mut Bench, probe: ContractAddress) {
    let probed = |function, calldata| call(probe, function, calldata);
    let failing =
        [*probe.0.key(), selector_from_name("write_and_panic").0, Felt::TWO, Felt::ONE, Felt::TWO];
    let cases = [
        ("40 cells", vec![probed("storage_sweep", felts([1_000_000, 40]))]),
        ("200 cells", vec![probed("storage_sweep", felts([2_000_000, 200]))]),
        ("200 cells again", vec![probed("storage_sweep", felts([2_000_000, 200]))]),
        ("1 keccak", vec![probed("keccak", felts([1]))]),
        ("10 keccaks", vec![probed("keccak", felts([10]))]),
        ("sha256", vec![probed("sha256", felts([100]))]),
        ("pedersen", vec![probed("pedersen", felts([500]))]),
        ("poseidon", vec![probed("poseidon", felts([500]))]),
        ("secp256r1", vec![probed("secp256r1_multiple", felts([123_456, 77]))]),
        (
            "10 ec_ops",
            (0..10).map(|n| probed("stark_curve_multiple", felts([1, 12_345 + n]))).collect(),
        ),
        ("a dictionary", vec![probed("dictionary", felts([200, 50]))]),
        (
            "modular arithmetic",
            (0..10).map(|n| probed("modular", felts([12_345 + n, 0, 7, 0]))).collect(),
        ),
        (
            "events and a message",
            vec![
                probed("emit", felts([2, 1, 2, 1, 3])),
                probed("send_message", felts([0xabc, 3, 7, 8, 9])),
            ],
        ),
        ("execution info", vec![probed("record_execution_info", vec![])]),
        ("a call that fails", vec![probed("call_catching", failing.to_vec())]),
        (
            "a reverted transaction",
            vec![
                probed("storage_sweep", felts([9_000_000, 50])),
                probed("write_and_panic", felts([3, 4])),
            ],
        ),
    ];
    for (what, calls) in cases {
        let transactions = [bench.invoke(4, &calls)];
        bench.block(what, &transactions);
    }
    let reverted: Vec<_> = (0..10)
        .map(|index| bench.invoke(index, &[probed("write_and_panic", felts([3, 4]))]))
        .collect();
    bench.block("10 reverted transactions", &reverted);
}

#[test]
fn the_prediction_covers_transfers() {
    let mut bench = Bench::new(L1DataAvailabilityMode::Blob);
    bench.block("an empty block", &[]);
    transfers(&mut bench, &[1, 10, 60]);
    while bench.chain.headers.len() < 12 {
        bench.chain.block(&[]);
    }
    bench.block("an empty block that writes an old hash", &[]);
    bench.finish();
}

#[test]
fn the_prediction_covers_contracts() {
    let mut bench = Bench::new(L1DataAvailabilityMode::Blob);
    new_code(&mut bench);
    let [fibonacci, factorial] = ["fibonacci", "factorial"].map(|name| bench.deployed(name));
    for n in [10, 1_000, 10_000] {
        let transactions = [bench.invoke(2, &[call(fibonacci, "fibonacci", felts([n]))])];
        bench.block(&format!("fibonacci of {n}"), &transactions);
        let transactions = [bench.invoke(3, &[call(factorial, "factorial", felts([n]))])];
        bench.block(&format!("factorial of {n}"), &transactions);
    }
    let many: Vec<_> = (0..20)
        .map(|index| bench.invoke(index, &[call(fibonacci, "fibonacci", felts([500]))]))
        .collect();
    bench.block("20 times fibonacci of 500", &many);
    bench.finish();
}

#[test]
fn the_prediction_covers_system_calls() {
    let mut bench = Bench::new(L1DataAvailabilityMode::Blob);
    let probe = bench.deployed("probe");
    probes(&mut bench, probe);
    bench.finish();
}

/// The header's mode changes what transactions pay, not what is proven.
#[test]
fn the_prediction_covers_data_in_calldata() {
    let mut bench = Bench::new(L1DataAvailabilityMode::Calldata);
    bench.block("an empty block", &[]);
    transfers(&mut bench, &[1, 60]);
    new_code(&mut bench);
    let probe = bench.deployed("probe");
    let sweep = [call(probe, "storage_sweep", felts([2_000_000, 200]))];
    let transactions = [bench.invoke(4, &sweep)];
    bench.block("200 cells", &transactions);
    bench.finish();
}

/// Paths are long where the tries are large: the token's cells, their aliases, the contracts.
#[test]
fn the_prediction_covers_large_tries() {
    let mut bench = Bench::with_genesis(L1DataAvailabilityMode::Blob, |genesis| {
        let class_hash = *genesis.state_diff.deployed_contracts.values().next().unwrap();
        let aliases = ContractAddress::try_from(Felt::TWO).unwrap();
        for number in 1..=20_000_u64 {
            let key = StorageKey::try_from(spread(number)).unwrap();
            let alias = Felt::from(127 + number);
            let diff = &mut genesis.state_diff;
            diff.storage_diffs.entry(*STRK_TOKEN_ADDRESS).or_default().insert(key, Felt::ONE);
            diff.storage_diffs.entry(aliases).or_default().insert(key, alias);
            if number % 10 == 0 {
                diff.deployed_contracts.insert(stranger(number), class_hash);
            }
        }
        let counter = StorageKey::try_from(Felt::ZERO).unwrap();
        let cells = genesis.state_diff.storage_diffs.entry(aliases).or_default();
        cells.insert(counter, Felt::from(128 + 20_000));
    });
    transfers(&mut bench, &[10, 60]);
    bench.finish();
}

/// Fills a block, and shows how full its proof is.
fn filled(what: &str, bench: &mut Bench, mut call: impl FnMut(u64) -> Call) -> TestBlock {
    let transactions: Vec<_> = (0..150).map(|index| bench.invoke(index, &[call(index)])).collect();
    let block = bench.chain.block(&transactions);
    assert!(block.executed.block_full, "{what}: 150 transactions fit");
    let included = block.execution.transactions.len();
    for index in included..transactions.len() {
        let account = index % bench.accounts.len();
        bench.accounts[account].1 -= 1;
    }
    let run = run_block(&block.witness, &IgnoreProgress).unwrap();
    let used = used(&run);
    assert!(used.fits(&block.execution.proof_load), "{what}: {used:?}");
    assert_eq!(run.components.too_large(), None);
    let percent = |rows: u64| rows * 100 / MAX_ROWS;
    let mut rows: Vec<_> = run.components.iter().collect();
    rows.sort_by_key(|(_, rows)| std::cmp::Reverse(*rows));
    let fullest: Vec<_> =
        rows[..4].iter().map(|(name, rows)| format!("{name} {} %", percent(*rows))).collect();
    println!("{included} {what} fill a block; of its proof: {}", fullest.join(", "));
    println!("  predicted {:?}\n  used      {used:?}", block.execution.proof_load);
    block
}

/// Blocks that are full, each of something else.
fn full_blocks() -> Vec<TestBlock> {
    let mut bench = Bench::new(L1DataAvailabilityMode::Blob);
    let transfers = filled("transfers", &mut bench, |index| transfer(stranger(index), 1));
    let included = transfers.execution.transactions.len();
    assert!((60..=90).contains(&included), "{included} transfers");
    let [fibonacci, probe] = ["fibonacci", "probe"].map(|name| bench.deployed(name));
    vec![
        transfers,
        filled("computations", &mut bench, |_| call(fibonacci, "fibonacci", felts([5_000]))),
        filled("sweeps of storage", &mut bench, |index| {
            call(probe, "storage_sweep", felts([1_000_000 + 1_000 * index, 20]))
        }),
        filled("Poseidon hashes", &mut bench, |_| call(probe, "poseidon", felts([2_000]))),
        filled("Keccak hashes", &mut bench, |_| call(probe, "keccak", felts([20]))),
    ]
}

/// A block that is full has a trace that can be proven, whatever fills it.
#[test]
fn a_full_block_can_be_proven() {
    full_blocks();
}

/// And it has a proof.
#[test]
#[ignore = "takes minutes and 10 GB; scripts/test --full runs it"]
fn full_blocks_are_proven() {
    let prover = Prover::new(ProverSettings::default());
    for block in full_blocks() {
        let run = run_block(&block.witness, &IgnoreProgress).unwrap();
        let proven = prover.prove(&block.witness, &IgnoreProgress).unwrap();
        check_components(&run.components, &super::log_sizes(&proven.proof));
        verify_block(&proven.proof, &Committed::of_block(&block.witness).unwrap()).unwrap();
        println!("proven: {:?}", proven.statistics);
    }
}

/// What no proof holds is refused before anything expensive, with the component that is too small for it: an opcode
/// that is used too often, and a component that only others call.
#[test]
fn a_block_that_is_too_large_is_refused() {
    let mut bench = Bench::new(L1DataAvailabilityMode::Blob);
    let probe = bench.deployed("probe");
    let transfers: Vec<_> =
        (0..150).map(|index| bench.invoke(index, &[transfer(stranger(index), 1)])).collect();
    // In one call: permutations of the same values are computed once.
    let hashes = vec![bench.invoke(0, &[call(probe, "poseidon", felts([20_000]))])];
    for (transactions, expected) in [(transfers, "add_opcode"), (hashes, "cube_252")] {
        let block = bench.chain.limited_block(&transactions, BlockLimits::none());
        assert_eq!(block.execution.transactions.len(), transactions.len());
        let error = run_block(&block.witness, &IgnoreProgress).err().expect("it is refused");
        assert!(error.is_permanent());
        let BlockError::Prove(ProveError::TooLarge { component, rows }) = error else {
            panic!("{error:?}")
        };
        assert_eq!(component, expected);
        assert!(rows > MAX_ROWS);
        assert!(!block.execution.proof_load.fits(&BlockLimits::default().proof));
    }
}

/// The sizes that decide whether a run can be proven are those that a proof really has: of this block's components.
pub(crate) fn check_components(rows: &ComponentRows, log_sizes: &[(String, u32)]) {
    for (component, rows) in rows.iter() {
        let found = log_sizes.iter().find(|(name, _)| name == component);
        let (_, found) = found.unwrap_or_else(|| panic!("{component} is not part of the proof"));
        let expected = rows.next_power_of_two().ilog2().max(4);
        assert_eq!(*found, expected, "{component} of {rows} rows");
    }
}
