//! Block 0: the allocation that a chain starts from.
//!
//! Block 0 has no transactions. Its state diff declares the chain's classes, deploys the STRK token, the
//! universal deployer and the prefunded accounts, and is the axiom that all proofs go back to.

use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use serde::{Deserialize, Serialize};
use starknet_api::StarknetApiError;
use starknet_api::abi::abi_utils::{get_fee_token_var_address, get_storage_var_address};
use starknet_api::block::{BlockHash, BlockNumber};
use starknet_api::core::{
    ClassHash, CompiledClassHash, ContractAddress, PatriciaKey, calculate_contract_address,
};
use starknet_api::state::ThinStateDiff;
use starknet_api::transaction::fields::{Calldata, ContractAddressSalt};
use starknet_types_core::curve::AffinePoint;
use starknet_types_core::felt::Felt;

use crate::block::{BlockEnvironment, STRK_TOKEN_ADDRESS};
use crate::classes::{ClassError, DeclaredClass, compiled_class_hash};
use crate::limits::ProofLoad;
use crate::outcome::{BlockExecution, InitialReads};

/// Addresses of the universal deployer: those that current and older wallets and tools call.
pub const UNIVERSAL_DEPLOYER_ADDRESSES: [&str; 3] = [
    "0x04a64cd09a853868621d94cae9952b106f2c36a3f81260f85de6696c6b050221",
    "0x02ceed65a4bd731034c01113685c831b01c15d7d432f71afb1cf1634b53a2125",
    "0x041a78e741e5af2fec34b695679bc6891742439f7afb8484ecd7766661ad02bf",
];

/// Most accounts a genesis may fund.
pub const MAX_ACCOUNTS: u32 = 10_000;

/// What a genesis allocates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GenesisConfig {
    /// Prefunded accounts.
    pub accounts: u32,
    /// Their keys are derived from this. **Anyone who knows the seed has the keys.**
    pub seed: u64,
    /// Balance of each account, in FRI.
    pub balance_fri: u128,
}

impl Default for GenesisConfig {
    fn default() -> Self {
        // 10,000 STRK each.
        Self { accounts: 10, seed: 0, balance_fri: 10_000 * 10_u128.pow(18) }
    }
}

/// The classes a genesis deploys, and others that it only declares.
#[derive(Clone, Debug)]
pub struct GenesisClasses {
    /// The account contract, with storage `Account_public_key`.
    pub account: DeclaredClass,
    /// The token, with the storage of OpenZeppelin's ERC-20 component.
    pub erc20: DeclaredClass,
    /// The universal deployer; `None`: the chain starts without.
    pub universal_deployer: Option<DeclaredClass>,
    /// Declared, not deployed.
    pub others: Vec<DeclaredClass>,
}

/// A prefunded account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DevAccount {
    /// Its address: salt is the public key, the constructor's calldata is the public key, the deployer is 0.
    pub address: ContractAddress,
    /// On the STARK curve.
    pub private_key: Felt,
    /// X coordinate of the public point.
    pub public_key: Felt,
    /// In FRI.
    pub balance_fri: u128,
}

/// A genesis, ready to become block 0.
#[derive(Clone, Debug)]
pub struct Genesis {
    /// What block 0 changes.
    pub state_diff: ThinStateDiff,
    /// The classes it declares, with their hashes.
    pub classes: Vec<(ClassHash, CompiledClassHash, Arc<DeclaredClass>)>,
    /// The accounts, in the order of their derivation.
    pub accounts: Vec<DevAccount>,
}

/// Why a genesis cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum GenesisError {
    /// More accounts than [`MAX_ACCOUNTS`].
    #[error("a genesis of {accounts} accounts is not supported, {MAX_ACCOUNTS} are")]
    TooManyAccounts {
        /// How many were asked for.
        accounts: u32,
    },
    /// All balances together exceed what the token counts.
    #[error("the genesis allocates more FRI than the token can count")]
    SupplyOverflow,
    /// A class is malformed.
    #[error("the genesis class {name} cannot be used")]
    Class {
        /// Which one.
        name: String,
        /// The cause.
        #[source]
        source: Box<ClassError>,
    },
    /// An address or a storage key cannot be computed.
    #[error("the genesis cannot compute {what}")]
    Address {
        /// Of what.
        what: String,
        /// The cause.
        #[source]
        source: StarknetApiError,
    },
}

/// Keys of the dev accounts: the first `count` derived from `seed`, the same on every machine.
pub fn dev_keys(seed: u64, count: u32) -> Vec<(Felt, Felt)> {
    let mut random = StdRng::seed_from_u64(seed);
    (0..count)
        .map(|_| {
            // 248 bits: above zero with overwhelming likelihood, and below the curve's order with certainty.
            let mut bytes = [0_u8; 32];
            random.fill_bytes(&mut bytes[1..]);
            let private_key = Felt::from_bytes_be(&bytes);
            (private_key, public_key(private_key))
        })
        .collect()
}

/// The X coordinate of `private_key` times the generator of the STARK curve.
pub fn public_key(private_key: Felt) -> Felt {
    (&AffinePoint::generator() * private_key).x()
}

/// The address of an account with this class and public key, deployed by nobody.
pub fn account_address(
    class_hash: ClassHash,
    public_key: Felt,
) -> Result<ContractAddress, GenesisError> {
    calculate_contract_address(
        ContractAddressSalt(public_key),
        class_hash,
        &Calldata(Arc::new(vec![public_key])),
        ContractAddress::default(),
    )
    .map_err(|source| GenesisError::Address { what: "an account's address".to_owned(), source })
}

/// Allocates accounts, tokens and classes.
pub fn genesis(config: &GenesisConfig, classes: GenesisClasses) -> Result<Genesis, GenesisError> {
    if config.accounts > MAX_ACCOUNTS {
        return Err(GenesisError::TooManyAccounts { accounts: config.accounts });
    }
    let mut diff = ThinStateDiff::default();
    let mut declared = Vec::new();
    let mut declare = |name: &str, class: DeclaredClass| -> Result<ClassHash, GenesisError> {
        let class_hash = class.class_hash();
        let compiled = compiled_class_hash(&class.casm).map_err(|source| GenesisError::Class {
            name: name.to_owned(),
            source: Box::new(source),
        })?;
        if diff.class_hash_to_compiled_class_hash.insert(class_hash, compiled).is_none() {
            declared.push((class_hash, compiled, Arc::new(class)));
        }
        Ok(class_hash)
    };
    let account_class = declare("account", classes.account)?;
    let erc20_class = declare("erc20", classes.erc20)?;
    let deployer_class =
        classes.universal_deployer.map(|class| declare("universal deployer", class)).transpose()?;
    for (index, class) in classes.others.into_iter().enumerate() {
        declare(&format!("number {index} of the others"), class)?;
    }

    let mut accounts = Vec::new();
    let mut token = Vec::new();
    let mut supply: u128 = 0;
    for (private_key, public_key) in dev_keys(config.seed, config.accounts) {
        let address = account_address(account_class, public_key)?;
        diff.deployed_contracts.insert(address, account_class);
        diff.storage_diffs
            .entry(address)
            .or_default()
            .insert(get_storage_var_address("Account_public_key", &[]), public_key);
        if config.balance_fri > 0 {
            token.push((get_fee_token_var_address(address), Felt::from(config.balance_fri)));
        }
        supply = supply.checked_add(config.balance_fri).ok_or(GenesisError::SupplyOverflow)?;
        accounts.push(DevAccount {
            address,
            private_key,
            public_key,
            balance_fri: config.balance_fri,
        });
    }

    token.push((get_storage_var_address("ERC20_total_supply", &[]), Felt::from(supply)));
    token.push((get_storage_var_address("ERC20_decimals", &[]), Felt::from(18_u8)));
    token.push((get_storage_var_address("ERC20_name", &[]), short_string("Starknet Token")));
    token.push((get_storage_var_address("ERC20_symbol", &[]), short_string("STRK")));
    let token_address = *STRK_TOKEN_ADDRESS;
    diff.deployed_contracts.insert(token_address, erc20_class);
    diff.storage_diffs
        .entry(token_address)
        .or_default()
        .extend(token.into_iter().filter(|(_, value)| *value != Felt::ZERO));

    if let Some(class_hash) = deployer_class {
        for address in UNIVERSAL_DEPLOYER_ADDRESSES {
            let what = || format!("the universal deployer's address {address}");
            let felt = Felt::from_hex_unchecked(address);
            let key = PatriciaKey::try_from(felt)
                .map_err(|source| GenesisError::Address { what: what(), source })?;
            diff.deployed_contracts.insert(ContractAddress(key), class_hash);
        }
    }
    Ok(Genesis { state_diff: crate::engine::sorted(diff), classes: declared, accounts })
}

/// Cairo's short string literal.
fn short_string(text: &str) -> Felt {
    Felt::from_bytes_be_slice(text.as_bytes())
}

impl Genesis {
    /// Block 0 as an execution: no transactions, and nothing but zeros before it.
    pub fn block(&self, environment: BlockEnvironment) -> BlockExecution {
        BlockExecution {
            environment: BlockEnvironment {
                number: BlockNumber(0),
                parent_hash: BlockHash::default(),
                old_block: None,
                ..environment
            },
            transactions: Vec::new(),
            receipts: Vec::new(),
            state_diff: self.state_diff.clone(),
            initial_reads: InitialReads::default(),
            executed_classes: Default::default(),
            proof_load: ProofLoad::default(),
        }
    }
}
