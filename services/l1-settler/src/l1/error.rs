//! What can go wrong between the settler and a node.

use alloy::primitives::Bytes;
use alloy::transports::http::reqwest;
use alloy::transports::{RpcError, TransportError, TransportErrorKind};
use sidereal_service::{Classified, ErrorClass};
use sidereal_settlement::Refusal;

use super::transport::{MAX_ANSWER_BYTES, TooLarge};

/// A call of the node has failed.
#[derive(Debug, thiserror::Error)]
#[error("{operation}")]
pub struct L1Error {
    /// What it was for.
    pub operation: &'static str,
    /// Its cause.
    #[source]
    pub source: L1Failure,
}

/// Why. Never holds the node's URL, which may hold a key.
#[derive(Debug, thiserror::Error)]
pub enum L1Failure {
    /// A contract has refused.
    #[error("{0}")]
    Refused(Refusal),
    /// The node has refused.
    #[error("the node answered {code}: {message}")]
    Node {
        /// Code of JSON-RPC.
        code: i64,
        /// What it says.
        message: String,
    },
    /// Something between us and the node has refused.
    #[error("the node answered with HTTP status {0}")]
    Http(u16),
    /// There is no node, or it is too slow.
    #[error("the node cannot be reached: {0}")]
    Unreachable(&'static str),
    /// Larger than any answer that is expected.
    #[error("the node's answer has more than {MAX_ANSWER_BYTES} bytes")]
    TooLarge,
    /// The answer is none.
    #[error("the node's answer cannot be read: {0}")]
    Malformed(&'static str),
}

/// Longest text of a node that goes on, in characters.
const MAX_MESSAGE: usize = 400;

impl L1Error {
    /// Takes an error of the transport apart, leaving out what may hold the URL.
    pub(crate) fn of(operation: &'static str) -> impl Fn(TransportError) -> Self {
        move |error| Self { operation, source: failure(&error) }
    }

    pub(crate) fn malformed(operation: &'static str, what: &'static str) -> Self {
        Self { operation, source: L1Failure::Malformed(what) }
    }

    /// What a contract has refused with, if that is it.
    pub fn refusal(&self) -> Option<&Refusal> {
        match &self.source {
            L1Failure::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }
}

impl Classified for L1Error {
    fn class(&self) -> ErrorClass {
        match &self.source {
            L1Failure::Refused(_) => ErrorClass::Conflict,
            L1Failure::Node { .. } | L1Failure::Http(_) | L1Failure::Unreachable(_) => {
                ErrorClass::Unavailable
            }
            L1Failure::TooLarge | L1Failure::Malformed(_) => ErrorClass::Corrupt,
        }
    }
}

fn failure(error: &TransportError) -> L1Failure {
    match error {
        RpcError::ErrorResp(answer) => {
            // Nodes that name no data, or not as such, have a message at least.
            if let Some(revert) = answer.as_revert_data() {
                return L1Failure::Refused(Refusal::decode(&revert));
            }
            L1Failure::Node {
                code: answer.code,
                message: answer.message.chars().take(MAX_MESSAGE).collect(),
            }
        }
        RpcError::NullResp => L1Failure::Malformed("it is null"),
        RpcError::DeserError { .. } => L1Failure::Malformed("it has another form than expected"),
        RpcError::Transport(TransportErrorKind::HttpError(error)) => L1Failure::Http(error.status),
        RpcError::Transport(TransportErrorKind::Custom(error)) if error.is::<TooLarge>() => {
            L1Failure::TooLarge
        }
        RpcError::Transport(TransportErrorKind::Custom(error)) => {
            let Some(error) = error.downcast_ref::<reqwest::Error>() else {
                return L1Failure::Unreachable("the transport failed");
            };
            L1Failure::Unreachable(if error.is_timeout() {
                "it did not answer in time"
            } else if error.is_connect() {
                "no connection"
            } else {
                "the connection broke"
            })
        }
        _ => L1Failure::Unreachable("the request was not sent"),
    }
}

/// What a node says to a transaction for its pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PoolAnswer {
    /// Another transaction of this nonce is there, and this one offers too little more.
    Underpriced,
    /// This very transaction is there.
    AlreadyKnown,
    /// A transaction of this nonce is in a block.
    NonceTooLow,
    /// Anything else.
    Other,
}

impl PoolAnswer {
    /// JSON-RPC has no codes for these, so the words of go-ethereum, reth, Erigon, Nethermind, Besu and Anvil must do.
    pub(crate) fn of(failure: &L1Failure) -> Self {
        let L1Failure::Node { message, .. } = failure else { return Self::Other };
        let message = message.to_lowercase();
        let says = |words: &[&str]| words.iter().any(|words| message.contains(words));
        if says(&["underpriced", "replacementnotallowed", "could not replace"]) {
            Self::Underpriced
        } else if says(&["already known", "alreadyknown", "already imported"])
            // Besu; nodes that do not know a type of transaction say "unknown transaction type".
            || message.starts_with("known transaction")
        {
            Self::AlreadyKnown
        } else if says(&["nonce too low", "oldnonce", "nonce_too_low"]) {
            Self::NonceTooLow
        } else {
            Self::Other
        }
    }
}

/// The revert data behind an answer to a call that failed without saying so.
pub(crate) fn no_answer(operation: &'static str, answer: &Bytes) -> L1Error {
    let what =
        if answer.is_empty() { "there is no contract" } else { "the contract is another one" };
    L1Error::malformed(operation, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pins down the words of the nodes.
    #[test]
    fn pools_are_understood() {
        let says = |message: &str| {
            PoolAnswer::of(&L1Failure::Node { code: -32_000, message: message.to_owned() })
        };
        for message in ["replacement transaction underpriced", "ReplacementNotAllowed"] {
            assert_eq!(says(message), PoolAnswer::Underpriced);
        }
        for message in ["already known", "transaction already imported", "Known transaction"] {
            assert_eq!(says(message), PoolAnswer::AlreadyKnown);
        }
        assert_eq!(says("nonce too low: next nonce 3"), PoolAnswer::NonceTooLow);
        assert_eq!(says("unknown transaction type"), PoolAnswer::Other);
        assert_eq!(says("insufficient funds for gas * price + value"), PoolAnswer::Other);
        assert_eq!(PoolAnswer::of(&L1Failure::Http(503)), PoolAnswer::Other);
    }
}
