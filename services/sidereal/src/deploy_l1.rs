//! `sidereal deploy-l1`: puts the contracts of a running rollup on L1, and writes down where they are.

use std::path::{Path, PathBuf};
use std::time::Duration;

use alloy::primitives::Address;
use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::json;
use sidereal_l1_settler::{
    Account, Deployer, Deployment, DeploymentRecord, L1, SettlementConfig, Verifier, pinned_hashes,
    verifier_key,
};
use sidereal_service::Secret;
use sidereal_settlement::deployment::{Genesis, Roles};
use starknet_api::core::ChainId;
use starknet_types_core::felt::Felt;

use crate::l1::secret;
use crate::print::OutputError;
use crate::rpc::Rpc;
use crate::{CommandFuture, print};

const DAY_S: u64 = 86_400;
/// Largest file that is read as a key, in bytes.
const MAX_KEY_BYTES: u64 = 4_096;
/// Where the key is, unless a file is named. Also read by the settler.
const KEY_VARIABLE: &str = "SIDEREAL_ACCOUNT_PRIVATE_KEY";

/// Options of `sidereal deploy-l1`.
#[derive(Clone, Debug, clap::Args)]
pub struct DeployL1Options {
    /// JSON-RPC endpoint of the rollup: the contract begins with the state of its block 0.
    #[arg(long, default_value = "http://127.0.0.1:9545/rpc/v0_10")]
    pub rpc: String,
    /// JSON-RPC endpoint of L1.
    #[arg(long, env = "SIDEREAL_L1_URL", hide_env_values = true, value_parser = secret)]
    pub l1_url: Secret<String>,
    /// File with the private key of the account that pays. Without it, the key is in SIDEREAL_ACCOUNT_PRIVATE_KEY.
    #[arg(long, env = "SIDEREAL_ACCOUNT_PRIVATE_KEY_FILE")]
    pub private_key_file: Option<PathBuf>,
    /// Account that settles at any time; the one that pays, unless another is named.
    #[arg(long)]
    pub operator: Option<Address>,
    /// Account that may replace the proof system, behind the time lock; the one that pays, unless another is named.
    #[arg(long)]
    pub governance: Option<Address>,
    /// Anybody may settle when the operator was silent for so long.
    #[arg(long, default_value_t = 7 * DAY_S)]
    pub operator_silence_s: u64,
    /// Another proof system is in force so long after it was announced.
    #[arg(long, default_value_t = 14 * DAY_S)]
    pub upgrade_delay_s: u64,
    /// A verifier of this build that is on L1 already.
    #[arg(long)]
    pub verifier: Option<Address>,
    /// The most that is paid for a unit of gas.
    #[arg(long, default_value_t = 500)]
    pub max_fee_per_gas_gwei: u64,
    /// A transaction that is in no block after so long is given up.
    #[arg(long, default_value_t = 600)]
    pub timeout_s: u64,
    /// Where it is written down what was deployed.
    #[arg(long, default_value = "l1.json")]
    pub record: PathBuf,
}

/// Deploys; an error says what is on L1 and what is not.
pub fn command(options: DeployL1Options) -> CommandFuture {
    Box::pin(run(options))
}

async fn run(options: DeployL1Options) -> anyhow::Result<()> {
    if let Some(record) = DeploymentRecord::read(&options.record)? {
        bail!(
            "{} says that {} is deployed at {} on chain {}; name another file to deploy it again",
            options.record.display(),
            record.chain_id,
            record.rollup_core,
            record.l1_chain_id
        );
    }
    let account = Account::new(&private_key(options.private_key_file.as_deref())?)?;
    let l1 = L1::new(&options.l1_url, Duration::from_secs(60))?;
    let rollup = Rollup::read(&Rpc::new(&options.rpc)).await?;
    if let Some(verifier) = options.verifier {
        let head = l1.head().await?;
        if !l1.is_our_verifier(verifier, &verifier_key(), head.hash).await? {
            bail!("the code at {verifier} is not the verifier that this release deploys");
        }
    }
    let bounds = SettlementConfig {
        max_fee_per_gas_gwei: options.max_fee_per_gas_gwei,
        ..SettlementConfig::default()
    };
    let deployer = Deployer {
        l1: &l1,
        account: &account,
        bounds: bounds.bounds(),
        timeout: Duration::from_secs(options.timeout_s),
    };
    let roles = Roles {
        operator: options.operator.unwrap_or(account.address()),
        operator_silence_s: options.operator_silence_s,
        governance: options.governance.unwrap_or(account.address()),
        upgrade_delay_s: options.upgrade_delay_s,
    };
    for caution in cautions(&roles) {
        print::line(format_args!("caution: {caution}"))?;
    }
    print::line(format_args!(
        "deploying the contracts of {} from {}: two transactions of up to {} s each ...",
        rollup.chain_id,
        account.address(),
        options.timeout_s
    ))?;
    let record = deploy(&deployer, &rollup, roles, options.verifier).await?;
    // What was paid for is not lost with a file that cannot be written.
    print_record(&record)?;
    record.write(&options.record)?;
    print::line(format_args!(
        "written to {}; the settler wants l1.rollup_core = \"{}\"",
        options.record.display(),
        record.rollup_core
    ))?;
    Ok(())
}

/// What these roles give up that the contract could hold.
fn cautions(roles: &Roles) -> Vec<String> {
    let mut cautions = Vec::new();
    if roles.governance == roles.operator {
        cautions.push(
            "operator and governance are one account: who has the settler's key can replace the proof system; \
             --governance names another"
                .to_owned(),
        );
    }
    if roles.upgrade_delay_s <= roles.operator_silence_s {
        cautions.push(format!(
            "an upgrade is in force after {} s, and others settle after {} s of silence: an operator who stops leaves \
             them no time under the proof system that they know",
            roles.upgrade_delay_s, roles.operator_silence_s
        ));
    }
    cautions
}

fn print_record(record: &DeploymentRecord) -> Result<(), OutputError> {
    print::line(format_args!("  RollupCore       {}", record.rollup_core))?;
    print::line(format_args!("  CircuitVerifier  {}", record.verifier))?;
    print::line(format_args!("  in L1's block    {}", record.l1_block))?;
    print::line(format_args!("  operator         {}", record.operator))?;
    print::line(format_args!("  governance       {}", record.governance))
}

/// What the contract has to know of the rollup.
pub struct Rollup {
    chain_id: ChainId,
    genesis: Genesis,
}

impl Rollup {
    /// Whether a contract that began with this state is one of this rollup.
    pub fn begins_like(&self, genesis: &Genesis) -> bool {
        self.genesis == *genesis
    }

    /// Asks the rollup's own node.
    pub async fn read(rpc: &Rpc) -> anyhow::Result<Self> {
        #[derive(Deserialize)]
        struct Block {
            block_hash: Felt,
            new_root: Felt,
        }
        let block: Block = rpc
            .call("starknet_getBlockWithTxHashes", json!({ "block_id": { "block_number": 0 } }))
            .await
            .context("cannot read block 0 of the rollup")?;
        let chain_id: Felt = rpc.call("starknet_chainId", json!([])).await?;
        let bytes = chain_id.to_bytes_be();
        let text = String::from_utf8(bytes.into_iter().skip_while(|byte| *byte == 0).collect())
            .context("the rollup's chain id is no text")?;
        let genesis =
            Genesis { root: block.new_root, block_number: 0, block_hash: block.block_hash };
        Ok(Self { chain_id: ChainId::from(text), genesis })
    }
}

/// Deploys the verifier, unless there is one, and the rollup's contract.
pub async fn deploy(
    deployer: &Deployer<'_>,
    rollup: &Rollup,
    roles: Roles,
    verifier: Option<Address>,
) -> anyhow::Result<DeploymentRecord> {
    let deployment = Deployment {
        genesis: rollup.genesis,
        pinned: pinned_hashes(&rollup.chain_id).context("StarknetOS cannot have this chain id")?,
        roles,
        verifier: verifier.map_or_else(|| Verifier::New(verifier_key()), Verifier::At),
    };
    let deployed = deployer.deploy(&deployment).await?;
    Ok(DeploymentRecord {
        chain_id: rollup.chain_id.to_string(),
        l1_chain_id: deployer.l1.chain_id().await?,
        l1_url: None,
        beacon_url: None,
        rollup_core: deployed.rollup_core,
        verifier: deployed.verifier,
        l1_block: deployed.block,
        operator: roles.operator,
        governance: roles.governance,
    })
}

/// The key of the account on L1, from a file or from the environment.
pub fn private_key(file: Option<&Path>) -> anyhow::Result<Secret<String>> {
    use std::io::Read as _;
    let text = match file {
        Some(path) => {
            let failed = || format!("cannot read the key in {}", path.display());
            let mut text = String::new();
            let file = std::fs::File::open(path).with_context(failed)?;
            file.take(MAX_KEY_BYTES).read_to_string(&mut text).with_context(failed)?;
            text
        }
        None => std::env::var(KEY_VARIABLE).ok().with_context(|| {
            format!(
                "no key for the account on L1: set {KEY_VARIABLE}, or name a file in {KEY_VARIABLE}_FILE"
            )
        })?,
    };
    Ok(Secret::new(text.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pins down what a deployment is cautioned about: one key for both roles, and an upgrade that comes before others may
    /// settle.
    #[test]
    fn roles_that_give_something_up_are_cautioned_about() {
        let apart = Roles {
            operator: Address::repeat_byte(1),
            operator_silence_s: 7 * DAY_S,
            governance: Address::repeat_byte(2),
            upgrade_delay_s: 14 * DAY_S,
        };
        assert!(cautions(&apart).is_empty());
        let one = cautions(&Roles { governance: apart.operator, ..apart });
        assert!(one.len() == 1 && one[0].contains("--governance"), "{one:?}");
        let hasty = cautions(&Roles { upgrade_delay_s: 7 * DAY_S, ..apart });
        assert!(hasty.len() == 1 && hasty[0].contains("604800 s of silence"), "{hasty:?}");
    }
}
