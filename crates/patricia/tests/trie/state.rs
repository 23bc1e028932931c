//! Pins down the global state commitment, against published values and across blocks.

use std::collections::BTreeSet;

use crate::support::now;
use sidereal_patricia::state::{
    AccessedKeys, StateRoots, StateTries, StateTriesUpdate, class_leaf,
};
use sidereal_patricia::{ContractLeaf, MemoryNodes};
use starknet_api::core::{ClassHash, CompiledClassHash, ContractAddress, Nonce};
use starknet_api::state::{StorageKey, ThinStateDiff};
use starknet_types_core::felt::Felt;

fn felt(hex: &str) -> Felt {
    Felt::from_hex(hex).unwrap()
}

fn address(hex: &str) -> ContractAddress {
    felt(hex).try_into().unwrap()
}

fn cell(hex: &str) -> StorageKey {
    StorageKey(felt(hex).try_into().unwrap())
}

fn apply(
    nodes: &mut MemoryNodes,
    roots: StateRoots,
    diff: &ThinStateDiff,
    accessed: &AccessedKeys,
) -> StateTriesUpdate {
    let tries = now(StateTries::load(nodes, roots, diff, accessed)).unwrap();
    let update = tries.update(diff).unwrap();
    // The same from the facts alone, as a replay of the witness does it.
    let replay = now(StateTries::load(&update.facts.node_source(), roots, diff, accessed)).unwrap();
    assert_eq!(replay.update(diff).unwrap(), update);
    nodes.absorb(&update.new_nodes);
    update
}

/// Block 0 of Starknet's mainnet, as its feeder gateway's `get_state_update?blockNumber=0` has it.
#[test]
fn mainnet_block_0_has_its_published_state_root() {
    /// Address, storage root, cells.
    type Contract = (&'static str, &'static str, &'static [(&'static str, &'static str)]);
    let contracts: [Contract; 5] = [
        (
            "0x735596016a37ee972c42adef6a3cf628c19bb3794369c65d2c82ba034aecf2c",
            "0x15c52969f4ae2ad48bf324e21b8c06ce8abcbc492263072a8de9c7f0bfa3c81",
            &[
                ("0x5", "0x64"),
                (
                    "0x2f50710449a06a9fa789b3c029a63bd0b1f722f46505828a9f815cf91b31d8",
                    "0x2a222e62eabe91abdb6838fa8b267ffe81a6eb575f61e96ec9aa4460c0925a2",
                ),
            ],
        ),
        (
            "0x20cfa74ee3564b4cd5435cdace0f9c4d43b939620e4a0bb5076105df0a626c6",
            "0x4532b9a656bd6074c2ddb1b884fb976eb055cd4d37e093448ce3f223864ccc4",
            &[
                ("0x5", "0x22b"),
                ("0x5aee31408163292105d875070f98cb48275b8c87e80380b78d30647e05854d5", "0x7e5"),
                (
                    "0x313ad57fdf765addc71329abf8d74ac2bce6d46da8c2b9b82255a5076620300",
                    "0x4e7e989d58a17cd279eca440c5eaa829efb6f9967aaad89022acbe644c39b36",
                ),
                (
                    "0x313ad57fdf765addc71329abf8d74ac2bce6d46da8c2b9b82255a5076620301",
                    "0x453ae0c9610197b18b13645c44d3d0a407083d96562e8752aab3fab616cecb0",
                ),
                (
                    "0x6cf6c2f36d36b08e591e4489e92ca882bb67b9c39a3afccf011972a8de467f0",
                    "0x7ab344d88124307c07b56f6c59c12f4543e9c96398727854a322dea82c73240",
                ),
            ],
        ),
        (
            "0x6ee3440b08a9c805305449ec7f7003f27e9f7e287b83610952ec36bdc5a6bae",
            "0x51c6b823cbf53c47ab7b34cddf1d9c0286fbb9d72ab29f2b577da0308cb1a07",
            &[
                (
                    "0x1e2cd4b3588e8f6f9c4e89fb0e293bf92018c96d7a93ee367d29a284223b6ff",
                    "0x71d1e9d188c784a0bde95c1d508877a0d93e9102b37213d1e13f3ebc54a7751",
                ),
                ("0x5f750dc13ed239fa6fc43ff6e10ae9125a33bd05ec034fc3bb4dd168df3505f", "0x7e5"),
                (
                    "0x48cba68d4e86764105adcdcf641ab67b581a55a4f367203647549c8bf1feea2",
                    "0x362d24a3b030998ac75e838955dfee19ec5b6eceb235b9bfbeccf51b6304d0b",
                ),
                (
                    "0x449908c349e90f81ab13042b1e49dc251eb6e3e51092d9a40f86859f7f415b0",
                    "0x6cb6104279e754967a721b52bcf5be525fdc11fa6db6ef5c3a4db832acf7804",
                ),
                (
                    "0x5bdaf1d47b176bfcd1114809af85a46b9c4376e87e361d86536f0288a284b65",
                    "0x28dff6722aa73281b2cf84cac09950b71fa90512db294d2042119abdd9f4b87",
                ),
                (
                    "0x5bdaf1d47b176bfcd1114809af85a46b9c4376e87e361d86536f0288a284b66",
                    "0x57a8f8a019ccab5bfc6ff86c96b1392257abb8d5d110c01d326b94247af161c",
                ),
            ],
        ),
        (
            "0x31c887d82502ceb218c06ebb46198da3f7b92864a8223746bc836dda3e34b52",
            "0x2eb33f71cbf096ea6b3a55ba19fb31efc31184caca6482bc89c7708c2cbb420",
            &[
                ("0x5f750dc13ed239fa6fc43ff6e10ae9125a33bd05ec034fc3bb4dd168df3505f", "0x7c7"),
                (
                    "0xdf28e613c065616a2e79ca72f9c1908e17b8c913972a9993da77588dc9cae9",
                    "0x1432126ac23c7028200e443169c2286f99cdb5a7bf22e607bcd724efa059040",
                ),
            ],
        ),
        (
            "0x31c9cdb9b00cb35cf31c05855c0ec3ecf6f7952a1ce6e3c53c3455fcd75a280",
            "0x6fe0662f4be66647b4508a53a08e13e7d1ffb2b19e93fa9dc991153f3a447d",
            &[
                ("0x5", "0x65"),
                ("0x5aee31408163292105d875070f98cb48275b8c87e80380b78d30647e05854d5", "0x7c7"),
                (
                    "0xcfc2e2866fd08bfb4ac73b70e0c136e326ae18fc797a2c090c8811c695577e",
                    "0x5f1dd5a5aef88e0498eeca4e7b2ea0fa7110608c11531278742f0b5499af4b3",
                ),
                (
                    "0x5fac6815fddf6af1ca5e592359862ede14f171e1544fd9e792288164097c35d",
                    "0x299e2f4b5a873e95e65eb03d31e532ea2cde43b498b50cd3161145db5542a5",
                ),
                (
                    "0x5fac6815fddf6af1ca5e592359862ede14f171e1544fd9e792288164097c35e",
                    "0x3d6897cf23da3bf4fd35cc7a43ccaf7c5eaf8f7c5b9031ac9b09a929204175f",
                ),
            ],
        ),
    ];
    let class =
        ClassHash(felt("0x10455c752b86932ce552f2b0fe81a880746649b9aee7e0d842bf3f52378f9f8"));
    let mut diff = ThinStateDiff::default();
    for (contract, _, cells) in contracts {
        diff.deployed_contracts.insert(address(contract), class);
        let cells = cells.iter().map(|(key, value)| (cell(key), felt(value))).collect();
        diff.storage_diffs.insert(address(contract), cells);
    }
    let update =
        apply(&mut MemoryNodes::default(), StateRoots::default(), &diff, &AccessedKeys::default());
    for (contract, storage_root, _) in contracts {
        let facts = &update.facts.storage[&address(contract)];
        assert_eq!(facts.updated_root, felt(storage_root), "storage root of {contract}");
    }
    assert_eq!(
        update.roots.global_root().0,
        felt("0x021870ba80540e7831fb21c591ee93481f5ae1bb71ff85a86ddd465be4eddee6")
    );
}

/// A storage trie of Goerli at which pathfinder's merging of edges once failed: cell 5 is set, then cleared.
#[test]
fn a_deletion_in_a_published_trie_merges_edges() {
    let contract = address("0x20cfa74ee3564b4cd5435cdace0f9c4d43b939620e4a0bb5076105df0a626c6");
    let mut nodes = MemoryNodes::default();
    let mut diff = ThinStateDiff::default();
    diff.storage_diffs.insert(
        contract,
        [
            (
                "0x1A2FD9B06EAB5BCA4D3885EE4C42736E835A57399FF8B7F6083A92FD2A20095",
                "0x215AA555E0CE3E462423D18B7216378D3CCD5D94D724AC7897FBC83FAAA4ED4",
            ),
            (
                "0x7AC69285B869DC3E8B305C748A0B867B2DE3027AECEBA51158ECA3B7354D76F",
                "0x65C85592F29501D97A2EA1CCF2BA867E6A838D602F4E7A7391EFCBF66958386",
            ),
            (
                "0x5C71AB5EF6A5E9DBC7EFD5C61554AB36039F60E5BA076833102E24344524566",
                "0x60970DF8E8A19AF3F41B78E93B845EC074A0AED4E96D18C6633580722B93A28",
            ),
            ("0x5", "0x22B"),
        ]
        .map(|(key, value)| (cell(key), felt(value)))
        .into_iter()
        .collect(),
    );
    let roots = apply(&mut nodes, StateRoots::default(), &diff, &AccessedKeys::default()).roots;
    let mut diff = ThinStateDiff::default();
    diff.storage_diffs.insert(contract, [(cell("0x5"), Felt::ZERO)].into_iter().collect());
    let update = apply(&mut nodes, roots, &diff, &AccessedKeys::default());
    assert_eq!(
        update.facts.storage[&contract].updated_root,
        felt("0x5f3b2b98faef39c60dbbb459dbe63d1d10f1688af47fbc032f2cab025def896")
    );
}

/// Values of the sequencer's own tests (`starknet_committer`, `hash_test.rs`), computed outside of it.
#[test]
fn leaves_hash_to_published_values() {
    let leaf = |class_hash, storage_root, nonce| {
        let (class_hash, storage_root) = (felt(class_hash), felt(storage_root));
        ContractLeaf { class_hash, storage_root, nonce: felt(nonce) }.hash()
    };
    assert_eq!(
        leaf(
            "0x150917f3bba17e3c0be685981d6cf8874098a857f354d374688e76eb69f44ab",
            "0x5d6b3a46ac855f3cea9af60e13cc6c81bf237b901f49f73981a521d4cb6c50c",
            "0x38"
        ),
        felt("0x3f27688d56740e5e238acde5b408154563c4f6e05514b8029e86ad51c388f8b")
    );
    assert_eq!(
        leaf(
            "0x314bd50b446c4e8c3a82b0eb9326e532432fbd925ab7afea236f7f8618848a2",
            "0x1118159298289b372808e6b008b6bc9d68f5ebc060962ea1331fdc70cf3d047",
            "0x47"
        ),
        felt("0x1b20bbb35009bf03f86fb092b56a9c44deedbcca6addf8f7640f54a48ba5bbc")
    );
    assert_eq!(
        class_leaf(&CompiledClassHash(felt("0xACDC"))),
        felt("0x49ed9a06987e7e55770d6c4d7d16b819ad984bf4aed552042847380cc31210d")
    );
    assert_eq!(ContractLeaf::default().hash(), Felt::ZERO);
}

/// Starknet's mainnet before and after the first class entered the class trie.
#[test]
fn the_state_root_depends_on_the_class_trie_only_when_there_is_one() {
    let roots = StateRoots { contracts_root: Felt::from(7), classes_root: Felt::ZERO };
    assert_eq!(roots.global_root().0, Felt::from(7));
    assert_eq!(StateRoots::default().global_root().0, Felt::ZERO);
    let with_classes = StateRoots { classes_root: Felt::ONE, ..roots };
    assert_ne!(with_classes.global_root(), roots.global_root());
}

/// Several blocks with reads, declarations, replaced classes, nonces and a system contract that loses all of
/// its storage. Every one is replayed from its facts by `apply`.
#[test]
fn blocks_follow_each_other_and_read_only_contracts_are_in_the_facts() {
    let mut nodes = MemoryNodes::default();
    let (account, token, system) = (address("0xacc"), address("0x704"), address("0x1"));
    let mut genesis = ThinStateDiff::default();
    for contract in [account, token] {
        genesis.deployed_contracts.insert(contract, ClassHash(Felt::from(0xc1a55)));
    }
    genesis
        .storage_diffs
        .insert(token, (1_u64..40).map(|key| (StorageKey(key.into()), Felt::from(key))).collect());
    genesis
        .class_hash_to_compiled_class_hash
        .insert(ClassHash(Felt::from(0xc1a55)), CompiledClassHash(Felt::from(0xca5)));
    let genesis = apply(&mut nodes, StateRoots::default(), &genesis, &AccessedKeys::default());

    let accessed = AccessedKeys {
        storage: BTreeSet::from([(token, cell("0x3")), (token, cell("0x77777"))]),
        contracts: BTreeSet::from([account, address("0xdead")]),
        classes: BTreeSet::from([ClassHash(Felt::from(0xc1a55)), ClassHash(Felt::from(0xfff))]),
    };
    let mut diff = ThinStateDiff::default();
    diff.nonces.insert(account, Nonce(Felt::ONE));
    diff.storage_diffs.insert(system, [(cell("0xa"), Felt::from(99))].into_iter().collect());
    diff.storage_diffs.insert(token, [(cell("0x2"), Felt::ZERO)].into_iter().collect());
    diff.deployed_contracts.insert(token, ClassHash(Felt::from(0xc1a56)));
    let first = apply(&mut nodes, genesis.roots, &diff, &accessed);
    let leaf = &first.facts.contract_leaves;
    assert_eq!(leaf[&account].updated.nonce, Felt::ONE);
    assert_eq!(leaf[&account].previous.nonce, Felt::ZERO);
    assert_eq!(leaf[&token].updated.class_hash, Felt::from(0xc1a56));
    assert_eq!(leaf[&system].updated.class_hash, Felt::ZERO);
    assert_eq!(leaf[&address("0xdead")], Default::default());
    assert_eq!(first.facts.storage.len(), 4);
    assert_ne!(first.roots, genesis.roots);
    assert_eq!(first.roots.classes_root, genesis.roots.classes_root);

    // Undo it: the roots are the ones of genesis again, the system contract's leaf is gone.
    let mut undo = ThinStateDiff::default();
    undo.nonces.insert(account, Nonce(Felt::ZERO));
    undo.storage_diffs.insert(system, [(cell("0xa"), Felt::ZERO)].into_iter().collect());
    undo.storage_diffs.insert(token, [(cell("0x2"), Felt::TWO)].into_iter().collect());
    undo.deployed_contracts.insert(token, ClassHash(Felt::from(0xc1a55)));
    let second = apply(&mut nodes, first.roots, &undo, &AccessedKeys::default());
    assert_eq!(second.roots, genesis.roots);

    // The facts survive being written down.
    let json = serde_json::to_string(&first.facts).unwrap();
    let read: sidereal_patricia::state::StateCommitmentFacts = serde_json::from_str(&json).unwrap();
    assert_eq!(read, first.facts);
}
