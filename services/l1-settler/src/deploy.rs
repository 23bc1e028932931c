//! Puts the contracts on L1.

use std::time::Duration;

use alloy::consensus::TxEip1559;
use alloy::primitives::{Address, Bytes, TxKind, U256};
use sidereal_settlement::deployment::{
    Genesis, PinnedHashes, Roles, VerifierKey, circuit_verifier, rollup_core,
};

use crate::account::{Account, AccountError};
use crate::fees::{FeeBounds, TooExpensive};
use crate::l1::{L1, L1Error, TRANSACTION_GAS_CAP};

/// Time between two looks for a receipt.
const POLL: Duration = Duration::from_millis(500);
/// More gas than was estimated, in percent.
const GAS_MARGIN_PERCENT: u64 = 10;

/// Everything that a deployment fixes. Nothing of it but the roles' holders and, behind the time lock, the proof system
/// can be changed afterwards.
#[derive(Clone, Copy, Debug)]
pub struct Deployment {
    /// The state that the rollup begins with.
    pub genesis: Genesis,
    /// Programs, configuration and circuits.
    pub pinned: PinnedHashes,
    /// Who may do what.
    pub roles: Roles,
    /// What verifies the last proof.
    pub verifier: Verifier,
}

/// The last proof's verifier.
#[derive(Clone, Copy, Debug)]
pub enum Verifier {
    /// To be deployed, for this circuit.
    New(VerifierKey),
    /// One that is there.
    At(Address),
}

/// Where the contracts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deployed {
    /// The last proof's verifier.
    pub verifier: Address,
    /// The rollup's state. Its proof system, behind a time lock, is part of it.
    pub rollup_core: Address,
    /// The block of L1 that the rollup's contract came with: nothing of it is in blocks before.
    pub block: u64,
}

/// A contract did not get to L1.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// A call of L1, or the constructor's refusal.
    #[error("deploy {contract}")]
    L1 {
        /// Which.
        contract: &'static str,
        /// The cause.
        #[source]
        source: L1Error,
    },
    /// Gas costs more than may be paid.
    #[error("deploy {contract}")]
    Fees {
        /// Which.
        contract: &'static str,
        /// The cause.
        #[source]
        source: TooExpensive,
    },
    /// It takes more gas than a transaction may use.
    #[error("deploying {contract} takes {gas} gas, a transaction has {TRANSACTION_GAS_CAP}")]
    Gas {
        /// Which.
        contract: &'static str,
        /// What it takes.
        gas: u64,
    },
    /// The key did not sign.
    #[error("sign the deployment of {contract}")]
    Sign {
        /// Which.
        contract: &'static str,
        /// The cause.
        #[source]
        source: AccountError,
    },
    /// It is in no block.
    #[error("the deployment of {contract} is in no block after {seconds} s")]
    TimedOut {
        /// Which.
        contract: &'static str,
        /// How long was waited.
        seconds: u64,
    },
    /// It reverted, although its simulation did not.
    #[error("the deployment of {contract} was reverted")]
    Reverted {
        /// Which.
        contract: &'static str,
    },
}

/// Deploys contracts, one after another.
#[derive(Debug)]
pub struct Deployer<'a> {
    /// Ethereum.
    pub l1: &'a L1,
    /// Who pays. Holds no role by that.
    pub account: &'a Account,
    /// For how much.
    pub bounds: FeeBounds,
    /// How long a transaction may take to get into a block.
    pub timeout: Duration,
}

impl Deployer<'_> {
    /// Deploys the verifier, if there is none yet, and the rollup's contract over it.
    ///
    /// # Errors
    /// When one of them did not get to L1. Nothing refers to a verifier that is there alone.
    pub async fn deploy(&self, deployment: &Deployment) -> Result<Deployed, DeployError> {
        let verifier = match &deployment.verifier {
            Verifier::New(key) => self.create("CircuitVerifier", circuit_verifier(key)).await?.0,
            Verifier::At(verifier) => *verifier,
        };
        let Deployment { genesis, pinned, roles, .. } = deployment;
        let code = rollup_core(genesis, verifier, pinned, roles);
        let (rollup_core, block) = self.create("RollupCore", code).await?;
        Ok(Deployed { verifier, rollup_core, block })
    }

    /// Sends creation code, waits for its block, and returns the contract's address and that block's number.
    ///
    /// # Errors
    /// When it did not get to L1, or was refused by its own constructor.
    pub async fn create(
        &self,
        contract: &'static str,
        code: Bytes,
    ) -> Result<(Address, u64), DeployError> {
        let l1 = |source| DeployError::L1 { contract, source };
        let from = self.account.address();
        let chain_id = self.l1.chain_id().await.map_err(l1)?;
        let head = self.l1.head().await.map_err(l1)?;
        let prices = self.l1.prices(&head).await.map_err(l1)?;
        let fees =
            self.bounds.first(&prices).map_err(|source| DeployError::Fees { contract, source })?;
        let gas = self.l1.estimate_creation(from, code.clone()).await.map_err(l1)?;
        if gas > TRANSACTION_GAS_CAP {
            return Err(DeployError::Gas { contract, gas });
        }
        let transaction = TxEip1559 {
            chain_id,
            nonce: self.l1.nonce(from, head.hash).await.map_err(l1)?,
            gas_limit: (gas + gas / 100 * GAS_MARGIN_PERCENT).min(TRANSACTION_GAS_CAP),
            max_fee_per_gas: fees.max_fee_per_gas,
            max_priority_fee_per_gas: fees.max_priority_fee_per_gas,
            to: TxKind::Create,
            value: U256::ZERO,
            access_list: Default::default(),
            input: code,
        };
        let signed = self
            .account
            .sign_plain(transaction)
            .map_err(|source| DeployError::Sign { contract, source })?;
        self.l1.send(&signed.raw).await.map_err(l1)?;
        tracing::info!(contract, transaction = %signed.hash, "deployment sent");

        let deadline = tokio::time::Instant::now() + self.timeout;
        let receipt = loop {
            if let Some(receipt) = self.l1.receipt(signed.hash).await.map_err(l1)? {
                break receipt;
            }
            if tokio::time::Instant::now() >= deadline {
                let seconds = self.timeout.as_secs();
                return Err(DeployError::TimedOut { contract, seconds });
            }
            tokio::time::sleep(POLL).await;
        };
        match (receipt.status(), receipt.contract_address, receipt.block_number) {
            (true, Some(address), Some(block)) => {
                tracing::info!(contract, %address, block, "deployed");
                Ok((address, block))
            }
            _ => Err(DeployError::Reverted { contract }),
        }
    }
}
