//! What a job says.

use prost::Message;
use sidereal_aggregation::{BadStep, Step};
use sidereal_bus::Job;
use sidereal_object_store::{BadKey, ObjectKey};
use sidereal_proto::events::{self, proof_job};
use starknet_types_core::felt::Felt;

/// Objects that one job takes at the most: the aggregator's blocks.
const MAX_INPUTS: usize = 1_024;

/// What is to be proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A block; the job's one input is its witness.
    Block {
        /// Its number.
        number: u64,
        /// Its hash.
        hash: Felt,
    },
    /// A step of an aggregation; the job's inputs are the proofs that it takes.
    Step(Step),
}

impl Target {
    /// The block, or the first one that the step is about.
    pub fn block_number(&self) -> u64 {
        match self {
            Self::Block { number, .. } => *number,
            Self::Step(step) => step.blocks().first,
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Block { number, .. } => write!(f, "block {number}"),
            Self::Step(step) => write!(f, "step {step}"),
        }
    }
}

/// A proof to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProveJob {
    /// Identity in the queue.
    pub id: String,
    /// What is to be proven.
    pub target: Target,
    /// Where what it takes is.
    pub inputs: Vec<ObjectKey>,
}

/// A payload that is no job. Trying it again is of no use.
#[derive(Debug, thiserror::Error)]
pub enum BadJob {
    /// Not the expected message.
    #[error("read the payload of job {id}")]
    Payload {
        /// The job.
        id: String,
        /// Why.
        #[source]
        source: prost::DecodeError,
    },
    /// The message says nothing.
    #[error("job {id} has no work")]
    Empty {
        /// The job.
        id: String,
    },
    /// A block hash is a felt of 32 bytes, big endian.
    #[error("job {id} names a block hash of {bytes} bytes")]
    BlockHash {
        /// The job.
        id: String,
        /// Length of what was found.
        bytes: usize,
    },
    /// A step that this worker does not know.
    #[error("job {id} is of another step than there are")]
    Step {
        /// The job.
        id: String,
        /// Why.
        #[source]
        source: BadStep,
    },
    /// The step takes another number of proofs.
    #[error("job {id} names {found} inputs, and takes {expected}")]
    InputCount {
        /// The job.
        id: String,
        /// In the payload.
        found: usize,
        /// What the step takes.
        expected: usize,
    },
    /// An input cannot be where the job says.
    #[error("job {id} names an input that no store can hold")]
    Input {
        /// The job.
        id: String,
        /// Why.
        #[source]
        source: BadKey,
    },
}

impl ProveJob {
    /// Reads a job of the bus.
    pub fn read(job: &Job) -> Result<Self, BadJob> {
        let id = || job.job_id.clone();
        let message = events::ProofJob::decode(&job.payload[..])
            .map_err(|source| BadJob::Payload { id: id(), source })?;
        let key = |key: &String| {
            ObjectKey::parse(key).map_err(|source| BadJob::Input { id: id(), source })
        };
        match message.work.ok_or_else(|| BadJob::Empty { id: id() })? {
            proof_job::Work::Block(block) => {
                let hash: [u8; 32] = block
                    .block_hash
                    .as_slice()
                    .try_into()
                    .map_err(|_| BadJob::BlockHash { id: id(), bytes: block.block_hash.len() })?;
                let target =
                    Target::Block { number: block.block_number, hash: Felt::from_bytes_be(&hash) };
                Ok(Self { id: id(), target, inputs: vec![key(&block.witness_key)?] })
            }
            proof_job::Work::Step(message) => {
                let step: Step =
                    message.step.parse().map_err(|source| BadJob::Step { id: id(), source })?;
                let expected = if step.blocks().count() <= MAX_INPUTS as u64 {
                    step.inputs().len()
                } else {
                    0
                };
                let found = message.inputs.len();
                if found != expected {
                    return Err(BadJob::InputCount { id: id(), found, expected });
                }
                let inputs = message.inputs.iter().map(key).collect::<Result<_, _>>()?;
                Ok(Self { id: id(), target: Target::Step(step), inputs })
            }
        }
    }

    /// The payload from which [`Self::read`] makes this job.
    pub fn payload(&self) -> Vec<u8> {
        let keys: Vec<String> = self.inputs.iter().map(ToString::to_string).collect();
        let work = match self.target {
            Target::Block { number, hash } => proof_job::Work::Block(events::ProveBlock {
                block_number: number,
                block_hash: hash.to_bytes_be().to_vec(),
                witness_key: keys.into_iter().next().unwrap_or_default(),
            }),
            Target::Step(step) => proof_job::Work::Step(events::AggregateStep {
                step: step.to_string(),
                inputs: keys,
            }),
        };
        events::ProofJob { work: Some(work) }.encode_to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bus_job(payload: Vec<u8>) -> Job {
        Job {
            queue: sidereal_proto::PROVING_QUEUE.to_owned(),
            job_id: "0xabc".to_owned(),
            payload: payload.into(),
            headers: Default::default(),
            attempt: 1,
            max_attempts: 3,
        }
    }

    fn step(name: &str, inputs: &[&str]) -> Vec<u8> {
        let step = events::AggregateStep {
            step: name.to_owned(),
            inputs: inputs.iter().map(ToString::to_string).collect(),
        };
        events::ProofJob { work: Some(proof_job::Work::Step(step)) }.encode_to_vec()
    }

    #[test]
    fn a_job_survives_the_bus() {
        let block = ProveJob {
            id: "0xabc".to_owned(),
            target: Target::Block { number: 7, hash: Felt::from(0xabc) },
            inputs: vec![ObjectKey::witness(7, Felt::from(0xabc))],
        };
        assert_eq!(ProveJob::read(&bus_job(block.payload())).unwrap(), block);
        let merge = ProveJob {
            id: "0xabc".to_owned(),
            target: Target::Step("merge-1-2".parse().unwrap()),
            inputs: ["a", "b"].map(|key| ObjectKey::parse(key).unwrap()).to_vec(),
        };
        assert_eq!(ProveJob::read(&bus_job(merge.payload())).unwrap(), merge);
    }

    #[test]
    fn malformed_payloads_are_named() {
        let read = |payload| ProveJob::read(&bus_job(payload));
        assert!(matches!(read(vec![0xff; 9]), Err(BadJob::Payload { .. })));
        assert!(matches!(read(Vec::new()), Err(BadJob::Empty { .. })));
        let block = |block_hash: Vec<u8>, witness_key: &str| {
            let block = events::ProveBlock {
                block_number: 1,
                block_hash,
                witness_key: witness_key.to_owned(),
            };
            events::ProofJob { work: Some(proof_job::Work::Block(block)) }.encode_to_vec()
        };
        assert!(matches!(read(block(Vec::new(), "a")), Err(BadJob::BlockHash { bytes: 0, .. })));
        let outside = read(block(vec![0; 32], "../../etc/passwd"));
        assert!(matches!(outside, Err(BadJob::Input { .. })));
        assert!(matches!(read(step("merge-2-1", &["a", "b"])), Err(BadJob::Step { .. })));
        assert!(matches!(
            read(step("merge-1-2", &["a"])),
            Err(BadJob::InputCount { found: 1, expected: 2, .. })
        ));
        assert!(matches!(read(step("wrap-1", &["/a"])), Err(BadJob::Input { .. })));
        let endless = format!("program-0-{}", u64::MAX - 1);
        assert!(matches!(read(step(&endless, &["a"])), Err(BadJob::InputCount { .. })));
    }
}
