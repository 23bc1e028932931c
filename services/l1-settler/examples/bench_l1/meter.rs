//! Gas of calls on an Anvil of its own.

use std::path::Path;
use std::time::Duration;

use alloy::primitives::{Address, Bytes, address, bytes};
use alloy::rpc::types::{TransactionInput, TransactionRequest};
use alloy::sol;
use alloy::sol_types::{SolCall, SolConstructor as _};
use anyhow::Context as _;
use sidereal_l1_settler::{
    Account, Deployed, Deployer, Deployment, FeeBounds, L1, SettlementConfig, Verifier,
    verifier_key,
};
use sidereal_service::Secret;
use sidereal_settlement::deployment::{Genesis, PinnedHashes, Roles};
use sidereal_settlement::{CircuitVerifier, RollupCore, Update};

use crate::aggregated::Aggregated;
use crate::anvil::{Anvil, KEYS};

pub type Gas = u64;

const LIMIT: Duration = Duration::from_secs(60);
/// Blob gas of a blob (EIP-4844).
const BLOB_GAS: Gas = 1 << 17;
/// An empty contract, which answers every call with success: it stands where there is no proof to verify.
const NO_VERIFIER: Address = address!("0x00000000000000000000000000000000000e3b71");

sol! {
    /// contracts/solidity/test/support/MeteredVerifier.sol
    contract MeteredVerifier {
        function meter(bytes32 output, bytes calldata proof) external view returns (uint256[] memory gasOf);
    }

    /// contracts/solidity/test/support/MeteredUpdate.sol; the system as in `RollupCore`.
    contract MeteredUpdate {
        struct ProofSystem {
            address verifier;
            uint256 osProgramHash;
            uint256 aggregatorProgramHash;
            uint256 configHash;
            uint256 wrapRoot;
            uint256 mergeRoot;
            uint256[] shrinkRoots;
        }

        function execution(address called, bytes calldata data) external returns (uint256 gas);
        function meter(uint256[] calldata output, bytes[] calldata openings, ProofSystem calldata system)
            external
            view
            returns (uint256 blobs, uint256 outputHashes);
    }
}

/// Calldata of a transaction, or a part of it.
pub struct Calldata {
    pub bytes: u64,
    zeros: u64,
}

impl Calldata {
    pub fn of(data: &[u8]) -> Self {
        let zeros = data.iter().filter(|byte| **byte == 0).count();
        Self { bytes: data.len() as u64, zeros: zeros as u64 }
    }

    /// A zero is one token, every other byte is four (EIP-7623).
    fn tokens(&self) -> u64 {
        4 * self.bytes - 3 * self.zeros
    }

    pub fn standard(&self) -> Gas {
        4 * self.tokens()
    }

    /// What a transaction pays at least for it, execution included.
    pub fn floor(&self) -> Gas {
        10 * self.tokens()
    }
}

/// The verifier's phases.
pub struct VerifierGas {
    pub transcript: Gas,
    pub lookups: Gas,
    pub constraints: Gas,
    pub row_trees: Gas,
    pub quotients: Gas,
    pub fri: Gas,
    pub fri_trees: Gas,
    /// What an update takes with the verifier more than without.
    pub called: Gas,
}

impl VerifierGas {
    pub fn hashing(&self) -> Gas {
        self.transcript + self.row_trees + self.fri_trees
    }

    /// What is in no phase.
    pub fn call(&self) -> Gas {
        let phases = self.hashing() + self.lookups + self.constraints + self.quotients + self.fri;
        self.called.saturating_sub(phases)
    }
}

/// An update without its verifier.
pub struct State {
    pub execution: Gas,
    pub output_hashes: Gas,
    pub blobs: Gas,
    pub n_blobs: u64,
}

impl State {
    pub fn rest(&self) -> Gas {
        self.execution - self.output_hashes - self.blobs
    }

    pub fn blob_gas(&self) -> Gas {
        self.n_blobs * BLOB_GAS
    }
}

/// Anvil with the contracts that measure.
pub struct Meter {
    anvil: Anvil,
    l1: L1,
    account: Account,
    pinned: PinnedHashes,
    update: Address,
}

impl Meter {
    pub async fn start(pinned: PinnedHashes) -> anyhow::Result<Self> {
        let anvil = Anvil::start().await?;
        let () = anvil.ask("anvil_setCode", (NO_VERIFIER, bytes!("00"))).await?;
        let l1 = L1::new(&Secret::new(anvil.url.clone()), LIMIT)?;
        let account = Account::new(&Secret::new(KEYS[0].to_owned()))?;
        let mut meter = Self { anvil, l1, account, pinned, update: Address::ZERO };
        let code = creation_code("MeteredUpdate")?.into();
        meter.update = meter.deployer().create("MeteredUpdate", code).await?.0;
        Ok(meter)
    }

    fn deployer(&self) -> Deployer<'_> {
        Deployer { l1: &self.l1, account: &self.account, bounds: bounds(), timeout: LIMIT }
    }

    /// The verifier on the stored proof.
    pub async fn verifier(&self, real: &Aggregated) -> anyhow::Result<VerifierGas> {
        let key = verifier_key();
        let arguments = CircuitVerifier::constructorCall {
            preprocessedRoot: key.preprocessed_root.into(),
            componentLogSizes: key.component_log_sizes,
        };
        let code = [creation_code("MeteredVerifier")?, arguments.abi_encode()].concat();
        let (verifier, _) = self.deployer().create("MeteredVerifier", code.into()).await?;
        let call = MeteredVerifier::meterCall {
            output: real.statement.into(),
            proof: real.update.proof.clone(),
        };
        let gas = self.call(verifier, &call, None).await?;
        let gas = gas.iter().map(u64::try_from).collect::<Result<Vec<_>, _>>()?;
        let [transcript, lookups, constraints, row_trees, quotients, fri, fri_trees] = gas[..]
        else {
            anyhow::bail!("the verifier has {} phases", gas.len());
        };
        let with = self.execution(&real.update, true).await?;
        let without = self.execution(&real.update, false).await?;
        let called = with.checked_sub(without).context("the verifier takes gas")?;
        Ok(VerifierGas {
            transcript,
            lookups,
            constraints,
            row_trees,
            quotients,
            fri,
            fri_trees,
            called,
        })
    }

    /// Execution of an update, by the rollup's contract at the state before, with the deployed verifier or without.
    pub async fn execution(&self, update: &Update, verified: bool) -> anyhow::Result<Gas> {
        let deployed = self.rollup(update, verified).await?;
        let prepared = update.prepare()?;
        let call = MeteredUpdate::executionCall {
            called: deployed.rollup_core,
            data: prepared.calldata.clone(),
        };
        let gas = self.call(self.update, &call, Some(update)).await?;
        Ok(u64::try_from(gas)?)
    }

    /// An update without its verifier, and the parts of it.
    pub async fn state(&self, update: &Update) -> anyhow::Result<State> {
        let prepared = update.prepare()?;
        let call = RollupCore::updateStateCall::abi_decode(&prepared.calldata)?;
        let number = |hash| sidereal_settlement::circuit_hash_to_u256(&hash);
        let felt = |felt| sidereal_settlement::felt_to_u256(&felt);
        let PinnedHashes { os_program, aggregator_program, config, roots } = self.pinned;
        let call = MeteredUpdate::meterCall {
            output: call.output,
            openings: call.openings,
            system: MeteredUpdate::ProofSystem {
                verifier: NO_VERIFIER,
                osProgramHash: felt(os_program),
                aggregatorProgramHash: felt(aggregator_program),
                configHash: felt(config),
                wrapRoot: number(roots.wrap),
                mergeRoot: number(roots.merge),
                shrinkRoots: vec![number(roots.shrink), number(roots.compact)],
            },
        };
        let parts = self.call(self.update, &call, Some(update)).await?;
        Ok(State {
            execution: self.execution(update, false).await?,
            output_hashes: u64::try_from(parts.outputHashes)?,
            blobs: u64::try_from(parts.blobs)?,
            n_blobs: u64::try_from(prepared.blobs.versioned_hashes().len())?,
        })
    }

    /// A rollup that stands before an update, which the meter settles.
    async fn rollup(&self, update: &Update, verified: bool) -> anyhow::Result<Deployed> {
        let deployment = Deployment {
            genesis: Genesis {
                root: update.output.initial_root,
                block_number: u64::try_from(update.output.previous_block_number)?,
                block_hash: update.output.previous_block_hash,
            },
            pinned: self.pinned,
            roles: Roles {
                operator: self.update,
                operator_silence_s: 86_400,
                governance: self.account.address(),
                upgrade_delay_s: 172_800,
            },
            verifier: match verified {
                true => Verifier::New(verifier_key()),
                false => Verifier::At(NO_VERIFIER),
            },
        };
        Ok(self.deployer().deploy(&deployment).await?)
    }

    /// Calls a contract, in a transaction with the blobs of an update.
    async fn call<C: SolCall>(
        &self,
        contract: Address,
        call: &C,
        blobs: Option<&Update>,
    ) -> anyhow::Result<C::Return> {
        let mut request = TransactionRequest {
            to: Some(contract.into()),
            input: TransactionInput::new(call.abi_encode().into()),
            ..Default::default()
        };
        if let Some(update) = blobs {
            let prepared = update.prepare()?;
            request.blob_versioned_hashes = Some(prepared.blobs.versioned_hashes().to_vec());
            request.max_fee_per_blob_gas = Some(bounds().max_fee_per_blob_gas);
        }
        let answer: Bytes = self.anvil.ask("eth_call", (request, "latest")).await?;
        Ok(C::abi_decode_returns(&answer)?)
    }
}

fn bounds() -> FeeBounds {
    SettlementConfig::default().bounds()
}

/// Creation code of a contract that Forge has compiled of the tests' ones.
fn creation_code(contract: &str) -> anyhow::Result<Vec<u8>> {
    let out = std::env::var("FOUNDRY_OUT").context("FOUNDRY_OUT: source scripts/env.sh")?;
    let path = Path::new(&out).join(format!("{contract}.sol/{contract}.json"));
    let text = std::fs::read(&path)
        .with_context(|| format!("{}; run just bench-l1, which compiles it", path.display()))?;
    let artifact: serde_json::Value = serde_json::from_slice(&text)?;
    let code = artifact["bytecode"]["object"].as_str().context("it has no bytecode")?;
    Ok(alloy::hex::decode(code)?)
}
