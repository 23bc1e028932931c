//! Block 0, written on an empty chain store.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sidereal_chain_store::{BlockSelector, ChainStore, ChainStoreError};
use sidereal_execution::classes::{ClassError, DeclaredClass, parse_sierra};
use sidereal_execution::genesis::{
    Genesis, GenesisClasses, GenesisConfig, GenesisError, MAX_ACCOUNTS, genesis,
};
use sidereal_service::config::Problems;
use starknet_api::block::BlockTimestamp;
use starknet_api::core::ClassHash;

use crate::classes::{StoredClassError, StoredClasses};
use crate::clock::now_ms;
use crate::production::{ChainRules, CommitError, Committer};
use crate::shared::Tip;

/// FRI in one STRK.
const FRI_PER_STRK: u128 = 1_000_000_000_000_000_000;

/// The `genesis` section.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GenesisSection {
    /// Folder with the compiled classes, `<name>.sierra.json` and `<name>.casm.json` of each: `account`, `erc20`,
    /// `udc`, and those that `others` names.
    pub classes_folder: PathBuf,
    /// Names of classes that are declared and not deployed.
    pub others: Vec<String>,
    /// Accounts that are deployed and funded.
    pub accounts: u32,
    /// Their keys are derived from it: anyone who knows it has them. For development only.
    pub seed: u64,
    /// Balance of each of them, in STRK.
    pub balance_strk: u64,
    /// Time of block 0, in seconds since the Unix epoch; 0: now.
    pub timestamp: u64,
}

impl Default for GenesisSection {
    fn default() -> Self {
        Self {
            classes_folder: PathBuf::from("sidereal-data/contracts"),
            others: ["fibonacci", "factorial", "counter"].map(str::to_owned).to_vec(),
            accounts: 10,
            seed: 0,
            balance_strk: 10_000,
            timestamp: 0,
        }
    }
}

impl GenesisSection {
    /// Says everything that is wrong with the values.
    pub fn validate(&self, section: &str, problems: &mut Problems) {
        problems.in_range(section, "accounts", self.accounts.into(), 0..=MAX_ACCOUNTS.into());
        let plain = |name: &String| {
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        problems.require(
            section,
            "others",
            self.others.len() <= 64 && self.others.iter().all(plain),
            "must be at most 64 names of letters, digits and '_'",
        );
    }

    /// What is allocated.
    pub fn allocation(&self) -> GenesisConfig {
        GenesisConfig {
            accounts: self.accounts,
            seed: self.seed,
            balance_fri: u128::from(self.balance_strk) * FRI_PER_STRK,
        }
    }
}

/// Block 0 could not be made or written.
#[derive(Debug, thiserror::Error)]
pub enum GenesisBlockError {
    /// A class file cannot be read.
    #[error("reading {} for the genesis block failed", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A class file holds no class.
    #[error("class {name} of the genesis block cannot be used")]
    Class {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: ClassError,
    },
    /// The allocation is impossible.
    #[error("the genesis block cannot be made")]
    Allocation(#[source] GenesisError),
    /// A class cannot be stored.
    #[error("a class of the genesis block cannot be stored")]
    Store(#[source] StoredClassError),
    /// The block cannot be committed.
    #[error("the genesis block cannot be committed")]
    Commit(#[source] Box<CommitError>),
    /// The chain store cannot be read.
    #[error("the chain store's head cannot be read")]
    Head(#[source] ChainStoreError),
}

/// A class with the JSON that is stored of it; the hash depends on the ABI's very text.
struct ClassFile {
    class: DeclaredClass,
    class_hash: ClassHash,
    sierra: Vec<u8>,
    casm: Vec<u8>,
}

/// What block 0 of a chain with this section is, from the class files alone: for those who check it.
pub async fn allocate(section: &GenesisSection) -> Result<Genesis, GenesisBlockError> {
    allocate_with_files(section).await.map(|(genesis, _)| genesis)
}

/// Also hash, Sierra and CASM of each class, as they are stored.
async fn allocate_with_files(
    section: &GenesisSection,
) -> Result<(Genesis, Vec<(ClassHash, Vec<u8>, Vec<u8>)>), GenesisBlockError> {
    let account = read(&section.classes_folder, "account").await?;
    let erc20 = read(&section.classes_folder, "erc20").await?;
    let deployer = read(&section.classes_folder, "udc").await?;
    let mut others = Vec::with_capacity(section.others.len());
    for name in &section.others {
        others.push(read(&section.classes_folder, name).await?);
    }
    let files: Vec<_> =
        [&account, &erc20, &deployer].into_iter().chain(&others).map(stored).collect();
    let allocated = genesis(
        &section.allocation(),
        GenesisClasses {
            account: account.class,
            erc20: erc20.class,
            universal_deployer: Some(deployer.class),
            others: others.into_iter().map(|file| file.class).collect(),
        },
    )
    .map_err(GenesisBlockError::Allocation)?;
    Ok((allocated, files))
}

/// The chain's last block; writes block 0 first if there is none.
pub async fn ensure(
    section: &GenesisSection,
    rules: &ChainRules,
    store: &ChainStore,
    classes: &StoredClasses,
    committer: &Committer,
) -> Result<Tip, GenesisBlockError> {
    let latest = store.block(BlockSelector::Latest).await;
    if let Some(latest) = latest.map_err(GenesisBlockError::Head)? {
        return Ok((&latest).into());
    }
    let (allocated, files) = allocate_with_files(section).await?;
    // Classes first: once block 0 is there, whoever reads it finds them.
    for (class_hash, sierra, casm) in &files {
        let put = classes.store(*class_hash, sierra, casm).await;
        put.map_err(GenesisBlockError::Store)?;
    }
    let timestamp = match section.timestamp {
        0 => now_ms() / 1_000,
        given => given,
    };
    let execution = Arc::new(allocated.block(rules.genesis(BlockTimestamp(timestamp))));
    let commit = |error| GenesisBlockError::Commit(Box::new(error));
    let prepared = committer.prepare(None, &execution, &[]).await.map_err(commit)?;
    committer.write(&prepared).await.map_err(commit)?;
    tracing::info!(
        hash = %format_args!("{:#x}", prepared.head.hash.0),
        accounts = allocated.accounts.len(),
        classes = files.len(),
        "genesis block written"
    );
    Ok(prepared.block().into())
}

fn stored(file: &ClassFile) -> (ClassHash, Vec<u8>, Vec<u8>) {
    (file.class_hash, file.sierra.clone(), file.casm.clone())
}

async fn read(folder: &Path, name: &str) -> Result<ClassFile, GenesisBlockError> {
    let bytes = async |suffix: &str| {
        let file = folder.join(format!("{name}.{suffix}.json"));
        let read = tokio::fs::read(&file).await;
        read.map_err(|source| GenesisBlockError::Read { file, source })
    };
    let sierra = bytes("sierra").await?;
    let casm = bytes("casm").await?;
    let class = DeclaredClass::from_json(&sierra, &casm)
        .map_err(|source| GenesisBlockError::Class { name: name.to_owned(), source })?;
    // Stored in the form that a declaration over JSON-RPC has: the compiler's file has the ABI as a list, and the
    // hash is that of its text.
    let sierra = parse_sierra(&sierra)
        .and_then(|parsed| serde_json::to_vec(&parsed).map_err(ClassError::ParseSierra))
        .map_err(|source| GenesisBlockError::Class { name: name.to_owned(), source })?;
    Ok(ClassFile { class_hash: class.class_hash(), class, sierra, casm })
}
