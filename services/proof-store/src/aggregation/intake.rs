//! Taking the proof of a step in: verified, and compared with what its inputs imply, then durable, then acknowledged.

use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use sidereal_aggregation::{CircuitKind, CircuitProof, CircuitVerifyError, Step, StepInput};
use sidereal_block_prover::{BlockProof, MAX_ENCODED_BYTES, VerifyError};
use sidereal_final_proof::VerificationKey;
use sidereal_object_store::{BadKey, ObjectKey, ObjectStore, ObjectStoreError};
use sidereal_os_aggregator::claims::{
    CircuitClaim, CircuitHash, aggregator_claim, merge_output, single_output, wrap_output,
};
use sidereal_os_aggregator::{AGGREGATOR_BLAKE_HASH, AggregatorInput, JoinError, Tree, aggregate};
use sidereal_service::{Classified, ErrorClass, error_chain};
use starknet_types_core::felt::Felt;

use crate::index::{IndexError, ProofIndex, StoredStep};
use crate::intake::now_s;
use crate::verifications::Verifications;

/// Why the proof of a step was not taken.
#[derive(Debug, thiserror::Error)]
pub enum StepIntakeError {
    #[error("the proof of step {step} has {size} bytes, more than {MAX_ENCODED_BYTES}")]
    TooLarge { step: Step, size: u64 },
    #[error("{announced} bytes were announced for the proof of step {step}, {received} came")]
    Size { step: Step, announced: u64, received: usize },
    #[error(
        "step {step} has no input {input} yet, and a proof of it cannot be compared with anything"
    )]
    NoInput { step: Step, input: String },
    #[error("the proof of step {step} cannot be read")]
    Circuit {
        step: Step,
        #[source]
        source: sidereal_aggregation::DecodeError,
    },
    #[error("the aggregator's proof of step {step} cannot be read")]
    Cairo {
        step: Step,
        #[source]
        source: sidereal_block_prover::DecodeError,
    },
    #[error("the proof of step {step} is of the circuit {}", .found.name())]
    Kind { step: Step, found: CircuitKind },
    #[error("the proof of step {step} says something else than its inputs imply")]
    Claim { step: Step },
    #[error("the proof of step {step} is of program {found:#x}, not of the aggregator")]
    Program { step: Step, found: Felt },
    #[error("the blocks of step {step} cannot be joined")]
    Join {
        step: Step,
        #[source]
        source: JoinError,
    },
    #[error("the proof of step {step} is refused")]
    Refused {
        step: Step,
        #[source]
        source: CircuitVerifyError,
    },
    #[error("the aggregator's proof of step {step} is refused")]
    RefusedCairo {
        step: Step,
        #[source]
        source: Box<VerifyError>,
    },
    #[error("the last proof of step {step} is refused")]
    RefusedLast {
        step: Step,
        #[source]
        source: sidereal_final_proof::DecodeError,
    },
    #[error("the entry of {of} has a claim that is none")]
    Damaged { of: String },
    #[error("the verification of the proof of step {step} was cut off")]
    CutOff {
        step: Step,
        #[source]
        source: tokio::task::JoinError,
    },
    #[error("step {step} has no name that a store can hold")]
    Key {
        step: Step,
        #[source]
        source: BadKey,
    },
    #[error("reading or storing a proof for step {step} failed")]
    ObjectStore {
        step: Step,
        #[source]
        source: ObjectStoreError,
    },
    #[error("the index failed at step {step}")]
    Index {
        step: Step,
        #[source]
        source: IndexError,
    },
}

impl Classified for StepIntakeError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::TooLarge { .. }
            | Self::Size { .. }
            | Self::Circuit { .. }
            | Self::Cairo { .. }
            | Self::Kind { .. }
            | Self::Claim { .. }
            | Self::Program { .. }
            | Self::Refused { .. }
            | Self::RefusedCairo { .. }
            | Self::RefusedLast { .. } => ErrorClass::Invalid,
            Self::NoInput { .. } => ErrorClass::NotFound,
            Self::Join { .. } | Self::Damaged { .. } | Self::CutOff { .. } | Self::Key { .. } => {
                ErrorClass::Internal
            }
            Self::Index { .. } => ErrorClass::Unavailable,
            Self::ObjectStore { source, .. } => source.class(),
        }
    }
}

/// What a worker says about its proof. None of it is believed but the figures, which are only shown.
#[derive(Clone, Debug)]
pub struct StepOffer {
    pub step: Step,
    pub size_bytes: u64,
    pub worker: String,
    pub cairo_steps: u64,
    pub total_ms: u64,
    pub prove_ms: u64,
    pub peak_memory_bytes: u64,
}

impl StepOffer {
    /// Refuses an announced size that no proof may have, before any of it is taken.
    pub fn check_size(&self) -> Result<(), StepIntakeError> {
        if usize::try_from(self.size_bytes).is_ok_and(|size| size <= MAX_ENCODED_BYTES) {
            return Ok(());
        }
        Err(StepIntakeError::TooLarge { step: self.step, size: self.size_bytes })
    }
}

/// What a proof has to say, by what it is made from.
enum Expected {
    /// A circuit's output.
    Output(CircuitHash),
    /// The aggregator's words over these outputs of blocks.
    Joined(AggregatorInput),
}

/// Verifies and stores.
pub struct StepIntake {
    pub objects: Arc<dyn ObjectStore>,
    pub index: ProofIndex,
    pub verifications: Verifications,
    /// Verification key of the last circuit.
    pub last_key: VerificationKey,
}

impl StepIntake {
    /// Returns when the proof is verified and durable, with what the step has now and whether that is new. A step that
    /// has a proof keeps it.
    pub async fn take(
        &self,
        offer: StepOffer,
        bytes: Bytes,
    ) -> Result<(StoredStep, bool), StepIntakeError> {
        let step = offer.step;
        offer.check_size()?;
        if bytes.len() as u64 != offer.size_bytes {
            let (announced, received) = (offer.size_bytes, bytes.len());
            return Err(StepIntakeError::Size { step, announced, received });
        }
        let index_failed = |source| StepIntakeError::Index { step, source };
        let expected = self.expected(step).await?;
        let (proof, key) = (bytes.clone(), self.last_key.clone());
        let verification = move || verify(step, &proof, expected, &key);
        let verified = self.verifications.run(verification).await;
        let claim = verified.map_err(|source| StepIntakeError::CutOff { step, source })??;

        if let Some(stored) = self.index.step(step).await.map_err(index_failed)? {
            return Ok((stored, false));
        }
        let digest = Sha256::digest(&bytes);
        let key = ObjectKey::step(&step.to_string(), &digest.into())
            .map_err(|source| StepIntakeError::Key { step, source })?;
        let stored = StoredStep {
            step,
            claim: hex::encode(claim),
            digest: hex::encode(digest),
            size_bytes: bytes.len() as u64,
            key: key.to_string(),
            stored_at: now_s(),
            worker: offer.worker,
            cairo_steps: offer.cairo_steps,
            total_ms: offer.total_ms,
            prove_ms: offer.prove_ms,
            peak_memory_bytes: offer.peak_memory_bytes,
        };
        let object_failed = |source| StepIntakeError::ObjectStore { step, source };
        self.objects.put(&key, bytes).await.map_err(object_failed)?;
        if self.index.insert_step(&stored).await.map_err(index_failed)? {
            tracing::info!(%step, worker = stored.worker, bytes = stored.size_bytes, "step stored");
            return Ok((stored, true));
        }
        // Another proof of the step came in while this one was verified: the index decides which is kept.
        let first = self.index.step(step).await.map_err(index_failed)?;
        let first = first.ok_or_else(|| StepIntakeError::Damaged { of: step.to_string() })?;
        if first.key != stored.key
            && let Err(error) = self.objects.delete(&key).await
        {
            tracing::warn!(%key, error = %error_chain(&error), "a second proof was not removed");
        }
        Ok((first, false))
    }

    async fn expected(&self, step: Step) -> Result<Expected, StepIntakeError> {
        let output = match step {
            Step::Program(_) => return self.joined(step).await.map(Expected::Joined),
            Step::Wrap(block) => {
                let proof = self.index.by_number(block).await;
                let proof = proof.map_err(|source| StepIntakeError::Index { step, source })?;
                let no_input =
                    || StepIntakeError::NoInput { step, input: format!("block {block}") };
                wrap_output(proof.ok_or_else(no_input)?.aggregation.claim)
            }
            Step::WrapProgram(blocks) => {
                let claim = self.claim(step, Step::Program(blocks)).await?;
                wrap_output(Felt::from_bytes_be(&claim))
            }
            Step::Merge(_) | Step::Top(_) => {
                let mut sides = Vec::with_capacity(2);
                for input in step.inputs() {
                    if let StepInput::Step(input) = input {
                        sides.push(self.circuit_claim(step, input).await?);
                    }
                }
                let [left, right] = &sides[..] else {
                    return Err(StepIntakeError::NoInput { step, input: "of two".to_owned() });
                };
                merge_output(left, right)
            }
            Step::Shrink(_) | Step::Compact(_) | Step::Last(_) => {
                let Some(StepInput::Step(input)) = step.inputs().into_iter().next() else {
                    return Err(StepIntakeError::NoInput { step, input: "at all".to_owned() });
                };
                single_output(&self.circuit_claim(step, input).await?)
            }
        };
        Ok(Expected::Output(output))
    }

    /// What a stored step says.
    async fn claim(&self, step: Step, input: Step) -> Result<CircuitHash, StepIntakeError> {
        let stored = self.index.step(input).await;
        let stored = stored
            .map_err(|source| StepIntakeError::Index { step, source })?
            .ok_or_else(|| StepIntakeError::NoInput { step, input: input.to_string() })?;
        let mut claim = CircuitHash::default();
        hex::decode_to_slice(&stored.claim, &mut claim)
            .map_err(|_| StepIntakeError::Damaged { of: input.to_string() })?;
        Ok(claim)
    }

    async fn circuit_claim(
        &self,
        step: Step,
        input: Step,
    ) -> Result<CircuitClaim, StepIntakeError> {
        let output = self.claim(step, input).await?;
        let kind = input.circuit();
        let kind = kind.ok_or_else(|| StepIntakeError::Damaged { of: input.to_string() })?;
        Ok(CircuitClaim { root: kind.root().0, output })
    }

    /// What the aggregator gets: the outputs in the blocks' proofs, which were verified when they were stored.
    async fn joined(&self, step: Step) -> Result<AggregatorInput, StepIntakeError> {
        let blocks = step.blocks();
        let no_input = |input: String| StepIntakeError::NoInput { step, input };
        let mut outputs = Vec::new();
        for number in blocks.numbers() {
            let stored = self.index.by_number(number).await;
            let stored = stored
                .map_err(|source| StepIntakeError::Index { step, source })?
                .ok_or_else(|| no_input(format!("block {number}")))?;
            let key = ObjectKey::parse(&stored.key)
                .map_err(|source| StepIntakeError::Key { step, source })?;
            let bytes = self.objects.get(&key).await;
            let bytes = bytes.map_err(|source| StepIntakeError::ObjectStore { step, source })?;
            let proof = BlockProof::decode(&bytes)
                .map_err(|source| StepIntakeError::Cairo { step, source })?;
            outputs.push(proof.output);
        }
        let tree = Tree::balanced(outputs.len()).ok_or_else(|| no_input("at all".to_owned()))?;
        Ok(AggregatorInput {
            outputs,
            tree,
            wrap_root: CircuitKind::Wrap.root().0,
            merge_root: CircuitKind::Merge.root().0,
        })
    }
}

/// Verifies a step's proof, and that it says what is expected. Returns the claim that the next step builds on.
fn verify(
    step: Step,
    bytes: &[u8],
    expected: Expected,
    last_key: &VerificationKey,
) -> Result<[u8; 32], StepIntakeError> {
    let expected = match expected {
        Expected::Output(output) => output,
        Expected::Joined(input) => return verify_program(step, bytes, &input),
    };
    if matches!(step, Step::Last(_)) {
        sidereal_final_proof::verify_calldata(bytes, last_key, &expected)
            .map_err(|source| StepIntakeError::RefusedLast { step, source })?;
        return Ok(expected);
    }
    let proof =
        CircuitProof::decode(bytes).map_err(|source| StepIntakeError::Circuit { step, source })?;
    if Some(proof.kind) != step.circuit() {
        return Err(StepIntakeError::Kind { step, found: proof.kind });
    }
    if proof.output.0 != expected {
        return Err(StepIntakeError::Claim { step });
    }
    sidereal_aggregation::verify(&proof)
        .map_err(|source| StepIntakeError::Refused { step, source })?;
    Ok(expected)
}

fn verify_program(
    step: Step,
    bytes: &[u8],
    input: &AggregatorInput,
) -> Result<[u8; 32], StepIntakeError> {
    let proof =
        BlockProof::decode(bytes).map_err(|source| StepIntakeError::Cairo { step, source })?;
    if proof.program_hash != AGGREGATOR_BLAKE_HASH {
        return Err(StepIntakeError::Program { step, found: proof.program_hash });
    }
    let joined = aggregate(input).map_err(|source| StepIntakeError::Join { step, source })?;
    if joined.encode() != proof.output {
        return Err(StepIntakeError::Claim { step });
    }
    sidereal_block_prover::verify(&proof)
        .map_err(|source| StepIntakeError::RefusedCairo { step, source: Box::new(source) })?;
    Ok(aggregator_claim(&proof.output).to_bytes_be())
}

#[cfg(test)]
mod tests {
    use sidereal_object_store::FileSystemStore;

    use super::*;
    use crate::config::DatabaseConfig;

    /// The fourth step over two blocks, made by `bench_aggregation`, and what the third one said.
    const COMPACT: &[u8] =
        include_bytes!("../../../../crates/aggregation/tests/data/compact.proof");
    const SHRUNK: &str = "12cad84cf5780f01af745b29764965362888124747252b20edbd467d9b03655b";

    struct Scene {
        intake: StepIntake,
        _folder: tempfile::TempDir,
    }

    impl Scene {
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let url = format!("sqlite://{}", folder.path().join("proofs.db").display());
            let index = ProofIndex::open(&DatabaseConfig { url, connections: 2 }).await.unwrap();
            let objects = FileSystemStore::open(&folder.path().join("objects"), 1 << 20).await;
            let intake = StepIntake {
                objects: Arc::new(objects.unwrap()),
                index,
                verifications: Verifications::new(1),
                last_key: VerificationKey::ETHEREUM,
            };
            Self { intake, _folder: folder }
        }

        /// Says that a step is done, with this claim.
        async fn done(&self, step: &str, claim: &str) {
            let stored = StoredStep::done(step.parse().unwrap(), claim);
            assert!(self.intake.index.insert_step(&stored).await.unwrap());
        }

        async fn take(
            &self,
            step: &str,
            proof: &[u8],
        ) -> Result<(StoredStep, bool), StepIntakeError> {
            let offer = StepOffer {
                step: step.parse().unwrap(),
                size_bytes: proof.len() as u64,
                worker: "w".to_owned(),
                cairo_steps: 0,
                total_ms: 1,
                prove_ms: 1,
                peak_memory_bytes: 1,
            };
            self.intake.take(offer, Bytes::copy_from_slice(proof)).await
        }
    }

    /// A proof is kept once, readable, with the claim that the next step builds on.
    #[tokio::test]
    async fn a_proof_that_follows_from_its_input_is_kept() {
        let scene = Scene::new().await;
        scene.done("shrink-1-2", SHRUNK).await;
        let (stored, is_new) = scene.take("compact-1-2", COMPACT).await.unwrap();
        assert!(is_new);
        assert_eq!(stored.claim, hex::encode(CircuitProof::decode(COMPACT).unwrap().output.0));
        let key = ObjectKey::parse(&stored.key).unwrap();
        assert_eq!(scene.intake.objects.get(&key).await.unwrap(), COMPACT);
        let (again, is_new) = scene.take("compact-1-2", COMPACT).await.unwrap();
        assert!(!is_new);
        assert_eq!(again, stored);
    }

    /// Each reason to refuse a proof, alone; nothing is kept.
    #[tokio::test]
    async fn what_does_not_follow_is_refused() {
        use StepIntakeError as E;
        let scene = Scene::new().await;
        let refused = |result: Result<(StoredStep, bool), E>| result.expect_err("it was kept");
        let take = |step, proof: &[u8]| {
            let proof = proof.to_vec();
            let scene = &scene;
            async move { refused(scene.take(step, &proof).await) }
        };
        assert!(matches!(take("compact-1-2", COMPACT).await, E::NoInput { .. }));
        // Another batch said something else at its third step.
        scene.done("shrink-3-4", &"00".repeat(32)).await;
        assert!(matches!(take("compact-3-4", COMPACT).await, E::Claim { .. }));
        scene.done("shrink-1-2", SHRUNK).await;
        assert!(matches!(take("shrink-1-2", COMPACT).await, E::NoInput { .. }));
        scene.done("top-1-2", SHRUNK).await;
        assert!(matches!(
            take("shrink-1-2", COMPACT).await,
            E::Kind { found: CircuitKind::Compact, .. }
        ));
        let mut changed = COMPACT.to_vec();
        let end = changed.len() - 1;
        changed[end - 9] ^= 1;
        assert!(matches!(
            take("compact-1-2", &changed).await,
            E::Refused { .. } | E::Circuit { .. }
        ));
        assert!(matches!(take("compact-1-2", b"no proof").await, E::Circuit { .. }));
        assert!(matches!(
            take("compact-1-2", &vec![0; MAX_ENCODED_BYTES + 1]).await,
            E::TooLarge { .. }
        ));
        scene.done("compact-3-4", &"00".repeat(32)).await;
        assert!(matches!(take("last-3-4", COMPACT).await, E::RefusedLast { .. }));
        assert!(scene.intake.index.step("compact-1-2".parse().unwrap()).await.unwrap().is_none());
    }
}
