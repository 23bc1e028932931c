//! What a job says.

use prost::Message;
use sidereal_bus::Job;
use sidereal_object_store::{BadKey, ObjectKey};
use sidereal_proto::events;
use starknet_types_core::felt::Felt;

/// The work queue of blocks to be proven. The proof store fills it.
pub const QUEUE: &str = sidereal_proto::PROVE_BLOCK_QUEUE;

/// A block to be proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProveJob {
    /// Identity in the queue.
    pub id: String,
    /// Number of the block.
    pub block_number: u64,
    /// Hash of the block.
    pub block_hash: Felt,
    /// Where the witness is.
    pub witness: ObjectKey,
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
    /// A block hash is a felt of 32 bytes, big endian.
    #[error("job {id} names a block hash of {bytes} bytes")]
    BlockHash {
        /// The job.
        id: String,
        /// Length of what was found.
        bytes: usize,
    },
    /// The witness cannot be where the job says.
    #[error("job {id} names a witness that no store can hold")]
    Witness {
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
        let message = events::ProveBlock::decode(&job.payload[..])
            .map_err(|source| BadJob::Payload { id: id(), source })?;
        let hash: [u8; 32] = message
            .block_hash
            .as_slice()
            .try_into()
            .map_err(|_| BadJob::BlockHash { id: id(), bytes: message.block_hash.len() })?;
        let witness = ObjectKey::parse(&message.witness_key)
            .map_err(|source| BadJob::Witness { id: id(), source })?;
        let block_hash = Felt::from_bytes_be(&hash);
        Ok(Self { id: id(), block_number: message.block_number, block_hash, witness })
    }

    /// The payload from which [`Self::read`] makes this job.
    pub fn payload(&self) -> Vec<u8> {
        events::ProveBlock {
            block_number: self.block_number,
            block_hash: self.block_hash.to_bytes_be().to_vec(),
            witness_key: self.witness.to_string(),
        }
        .encode_to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bus_job(payload: Vec<u8>) -> Job {
        Job {
            queue: QUEUE.to_owned(),
            job_id: "0xabc".to_owned(),
            payload: payload.into(),
            headers: Default::default(),
            attempt: 1,
            max_attempts: 3,
        }
    }

    #[test]
    fn a_job_survives_the_bus() {
        let job = ProveJob {
            id: "0xabc".to_owned(),
            block_number: 7,
            block_hash: Felt::from(0xabc),
            witness: ObjectKey::witness(7, Felt::from(0xabc)),
        };
        assert_eq!(ProveJob::read(&bus_job(job.payload())).unwrap(), job);
    }

    #[test]
    fn malformed_payloads_are_named() {
        assert!(matches!(ProveJob::read(&bus_job(vec![0xff; 9])), Err(BadJob::Payload { .. })));
        assert!(matches!(
            ProveJob::read(&bus_job(Vec::new())),
            Err(BadJob::BlockHash { bytes: 0, .. })
        ));
        let outside = events::ProveBlock {
            block_number: 1,
            block_hash: vec![0; 32],
            witness_key: "../../etc/passwd".to_owned(),
        };
        assert!(matches!(
            ProveJob::read(&bus_job(outside.encode_to_vec())),
            Err(BadJob::Witness { .. })
        ));
    }
}
