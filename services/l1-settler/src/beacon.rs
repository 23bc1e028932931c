//! The Beacon API, through which L1's blobs are read while it still has them (about 18 days).
//!
//! Nothing that it says is believed: a blob is the one that was asked for when its commitment has the versioned hash.

use std::time::Duration;

use alloy::hex;
use alloy::primitives::B256;
use alloy::transports::http::reqwest;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sidereal_service::{Classified, ErrorClass, Secret};
use sidereal_settlement::{Blob, versioned_hash};

use crate::http;
use crate::l1::BadUrl;

/// Bytes of a blob (EIP-4844).
pub const BLOB_BYTES: usize = 131_072;
/// Largest answer that is read: one blob is asked for, but a node that does not know how to leave the others out may
/// answer with all of a block, in hexadecimal. More than any fork allows.
const MAX_ANSWER_BYTES: usize = 32 * (2 * BLOB_BYTES + 8);

/// A node of Ethereum's consensus layer. Cheap to clone.
#[derive(Clone)]
pub struct Beacon {
    http: reqwest::Client,
    base: reqwest::Url,
}

impl std::fmt::Debug for Beacon {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URL may hold a key.
        f.debug_struct("Beacon").finish_non_exhaustive()
    }
}

/// How a node calls its blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockIds {
    /// By slot: those of a chain with a consensus layer.
    Slots {
        /// Time of slot 0, in seconds since the Unix epoch.
        genesis_time: u64,
        /// Length of a slot.
        slot_ms: u64,
    },
    /// By the number of the execution layer's block: a development node without slots (Anvil).
    Numbers,
}

impl BlockIds {
    /// What the block with this number and time (seconds) is called; none before slot 0.
    pub fn of_block(&self, number: u64, timestamp: u64) -> Option<u64> {
        match *self {
            Self::Slots { genesis_time, slot_ms } => {
                timestamp.checked_sub(genesis_time)?.checked_mul(1_000)?.checked_div(slot_ms)
            }
            Self::Numbers => Some(number),
        }
    }
}

/// The Beacon API has not answered with what was asked for.
#[derive(Debug, thiserror::Error)]
#[error("{operation}")]
pub struct BeaconError {
    /// What it was for.
    pub operation: &'static str,
    /// Its cause.
    #[source]
    pub source: BeaconFailure,
}

/// Why. Never holds the node's URL, which may hold a key.
#[derive(Debug, thiserror::Error)]
pub enum BeaconFailure {
    /// There is no node, or it is too slow.
    #[error("the beacon node cannot be reached: {0}")]
    Unreachable(&'static str),
    /// The node has refused.
    #[error("the beacon node answered with HTTP status {0}")]
    Http(u16),
    /// More than anything that is asked for has.
    #[error("the beacon node's answer has more than {MAX_ANSWER_BYTES} bytes")]
    TooLarge,
    /// The answer is none.
    #[error("the beacon node's answer cannot be read: {0}")]
    Malformed(&'static str),
    /// The blob is not there: it is too old, or never was in this block.
    #[error(
        "the beacon node does not have blob {hash} of block {block_id} (they are deleted after some 18 days)"
    )]
    NoBlob {
        /// The blob.
        hash: B256,
        /// The block, as the node calls it.
        block_id: u64,
    },
    /// The answer is another blob.
    #[error("the beacon node answered with another blob than {hash}")]
    OtherBlob {
        /// The blob that was asked for.
        hash: B256,
    },
}

impl Classified for BeaconError {
    fn class(&self) -> ErrorClass {
        match &self.source {
            BeaconFailure::Unreachable(_) | BeaconFailure::Http(_) => ErrorClass::Unavailable,
            BeaconFailure::NoBlob { .. } => ErrorClass::NotFound,
            _ => ErrorClass::Corrupt,
        }
    }
}

#[derive(Deserialize)]
struct Answer<T> {
    data: T,
}

#[derive(Deserialize)]
struct GenesisData {
    genesis_time: String,
}

/// The part of the specification's values that is needed, each in decimal. Later forks say milliseconds.
#[derive(Deserialize)]
struct Spec {
    #[serde(rename = "SECONDS_PER_SLOT")]
    seconds_per_slot: Option<String>,
    #[serde(rename = "SLOT_DURATION_MS")]
    slot_duration_ms: Option<String>,
}

impl Beacon {
    /// Connects when it is first used.
    ///
    /// # Errors
    /// When the URL is none.
    pub fn new(url: &Secret<String>, timeout: Duration) -> Result<Self, BadUrl> {
        // The errors' own texts would show the URL.
        let base = reqwest::Url::parse(url.expose()).map_err(|_| BadUrl)?;
        if base.cannot_be_a_base() {
            return Err(BadUrl);
        }
        let http = reqwest::Client::builder().timeout(timeout).build().map_err(|_| BadUrl)?;
        Ok(Self { http, base })
    }

    /// How this node calls its blocks. A node that does not serve the specification has no slots.
    ///
    /// # Errors
    /// When it does not answer, or with no times.
    pub async fn block_ids(&self) -> Result<BlockIds, BeaconError> {
        const OPERATION: &str = "ask the beacon node for its slots";
        let malformed =
            |what| BeaconError { operation: OPERATION, source: BeaconFailure::Malformed(what) };
        let Some(spec) = self.get::<Answer<Spec>>(OPERATION, "eth/v1/config/spec", &[]).await?
        else {
            return Ok(BlockIds::Numbers);
        };
        let genesis: Answer<GenesisData> = self
            .get(OPERATION, "eth/v1/beacon/genesis", &[])
            .await?
            .ok_or_else(|| malformed("it has no genesis"))?;
        let number = |text: &str| {
            text.parse::<u64>()
                .ok()
                .filter(|number| *number > 0)
                .ok_or_else(|| malformed("a time is no number"))
        };
        let slot_ms = match (&spec.data.slot_duration_ms, &spec.data.seconds_per_slot) {
            (Some(milliseconds), _) => number(milliseconds)?,
            (None, Some(seconds)) => number(seconds)?.saturating_mul(1_000),
            (None, None) => return Err(malformed("it does not say how long a slot is")),
        };
        Ok(BlockIds::Slots { genesis_time: number(&genesis.data.genesis_time)?, slot_ms })
    }

    /// The blob with this versioned hash in a block, as [`BlockIds`] calls it.
    ///
    /// # Errors
    /// When the node does not answer, does not have it, or answers with another.
    pub async fn blob(&self, block_id: u64, hash: B256) -> Result<Box<Blob>, BeaconError> {
        const OPERATION: &str = "ask the beacon node for a blob";
        let failed = |source| BeaconError { operation: OPERATION, source };
        let missing = || failed(BeaconFailure::NoBlob { hash, block_id });
        // One at a time: answers stay small, and nodes disagree about how several hashes are written.
        let answer: Answer<Vec<String>> = self
            .get(
                OPERATION,
                &format!("eth/v1/beacon/blobs/{block_id}"),
                &[("versioned_hashes", &hash.to_string())],
            )
            .await?
            .ok_or_else(missing)?;
        let mut is_other = false;
        for text in &answer.data {
            let bytes = hex::decode(text)
                .map_err(|_| failed(BeaconFailure::Malformed("a blob is not in hexadecimal")))?;
            let blob = Blob::from_bytes(&bytes)
                .map(Box::new)
                .map_err(|_| failed(BeaconFailure::Malformed("a blob has another length")))?;
            if versioned_hash(&blob).is_ok_and(|found| found == hash) {
                return Ok(blob);
            }
            is_other = true;
        }
        Err(if is_other { failed(BeaconFailure::OtherBlob { hash }) } else { missing() })
    }

    /// None when the node says that there is no such thing.
    async fn get<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Option<T>, BeaconError> {
        let failed = |source| BeaconError { operation, source };
        let unreachable = |error: reqwest::Error| {
            failed(BeaconFailure::Unreachable(if error.is_timeout() {
                "it did not answer in time"
            } else if error.is_connect() {
                "no connection"
            } else {
                "the connection broke"
            }))
        };
        let mut url = http::below(&self.base, path.split('/'));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self.http.get(url).header("accept", "application/json");
        let response = request.send().await.map_err(unreachable)?;
        match response.status() {
            status if status.is_success() => {}
            reqwest::StatusCode::NOT_FOUND => return Ok(None),
            status => return Err(failed(BeaconFailure::Http(status.as_u16()))),
        }
        let bytes = http::body(response, MAX_ANSWER_BYTES).await.map_err(unreachable)?;
        let bytes = bytes.ok_or_else(|| failed(BeaconFailure::TooLarge))?;
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|_| failed(BeaconFailure::Malformed("it has another form than expected")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pins down the slot of a block: mainnet's numbers, from its genesis on.
    #[test]
    fn slots_follow_from_the_time() {
        let ids = BlockIds::Slots { genesis_time: 1_606_824_023, slot_ms: 12_000 };
        // Block 19426587 of mainnet, the first one with blobs, is in slot 8626176.
        assert_eq!(ids.of_block(19_426_587, 1_710_338_135), Some(8_626_176));
        assert_eq!(ids.of_block(0, 1_606_824_023), Some(0));
        assert_eq!(ids.of_block(0, 1_606_824_022), None);
        assert_eq!(BlockIds::Numbers.of_block(7, 99), Some(7));
    }

    /// Pins down that the URL is not shown.
    #[test]
    fn the_url_is_not_shown() {
        let url = Secret::new("https://beacon.example/5eed".to_owned());
        let beacon = Beacon::new(&url, Duration::from_secs(1)).unwrap();
        assert!(!format!("{beacon:?}").contains("5eed"));
        assert!(Beacon::new(&Secret::new("nowhere".to_owned()), Duration::from_secs(1)).is_err());
    }
}
