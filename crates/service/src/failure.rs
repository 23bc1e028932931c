//! The one mapping from errors to gRPC statuses, and the one rule of what is worth trying again.

use tonic::{Code, Status};

/// What kind of failure an error is, for whoever is on the other side of a boundary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// The request itself is wrong; the same request will always fail.
    Invalid,
    /// The caller did not say who it is, or not credibly.
    Unauthenticated,
    /// What was asked for does not exist.
    NotFound,
    /// It exists already, with another content.
    AlreadyExists,
    /// The request does not fit the present state (wrong nonce order, block not closed).
    Conflict,
    /// A bound was reached: size, queue, rate.
    Exhausted,
    /// It took too long.
    TimedOut,
    /// Something this depends on cannot be reached now.
    Unavailable,
    /// This build or configuration does not do that.
    Unsupported,
    /// Stored data contradict themselves.
    Corrupt,
    /// A mistake of ours.
    Internal,
}

impl ErrorClass {
    /// The gRPC code that says so.
    pub fn code(self) -> Code {
        match self {
            Self::Invalid => Code::InvalidArgument,
            Self::Unauthenticated => Code::Unauthenticated,
            Self::NotFound => Code::NotFound,
            Self::AlreadyExists => Code::AlreadyExists,
            Self::Conflict => Code::FailedPrecondition,
            Self::Exhausted => Code::ResourceExhausted,
            Self::TimedOut => Code::DeadlineExceeded,
            Self::Unavailable => Code::Unavailable,
            Self::Unsupported => Code::Unimplemented,
            Self::Corrupt => Code::DataLoss,
            Self::Internal => Code::Internal,
        }
    }

    /// The class behind a status that another service answered.
    pub fn of_status(status: &Status) -> Self {
        match status.code() {
            Code::InvalidArgument | Code::OutOfRange => Self::Invalid,
            Code::Unauthenticated | Code::PermissionDenied => Self::Unauthenticated,
            Code::NotFound => Self::NotFound,
            Code::AlreadyExists => Self::AlreadyExists,
            Code::FailedPrecondition => Self::Conflict,
            Code::ResourceExhausted => Self::Exhausted,
            Code::DeadlineExceeded => Self::TimedOut,
            // `Cancelled`, `Aborted` and `Unknown` are what a connection that breaks in mid-call shows.
            Code::Unavailable | Code::Aborted | Code::Cancelled | Code::Unknown => {
                Self::Unavailable
            }
            Code::Unimplemented => Self::Unsupported,
            Code::DataLoss => Self::Corrupt,
            Code::Ok | Code::Internal => Self::Internal,
        }
    }

    /// Whether the same request may succeed later without anybody changing it.
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::Unavailable | Self::TimedOut | Self::Exhausted)
    }
}

/// An error that knows its class.
pub trait Classified: std::error::Error {
    /// The class.
    fn class(&self) -> ErrorClass;
}

impl Classified for Status {
    fn class(&self) -> ErrorClass {
        ErrorClass::of_status(self)
    }
}

/// The status for an error: its code from the class, its message from the error and its causes. Every error of
/// ours names operation and object only; secrets are of type [`crate::Secret`] and cannot be in there.
pub fn to_status(error: &(impl Classified + ?Sized)) -> Status {
    let class = error.class();
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        message.push_str(": ");
        message.push_str(&error.to_string());
        cause = error.source();
    }
    // gRPC carries the message in a header; a longer one would break the response.
    let mut end = message.len().min(2_048);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message.truncate(end);
    match class {
        ErrorClass::Internal | ErrorClass::Corrupt => {
            tracing::error!(error = %message, "request failed")
        }
        _ => tracing::debug!(error = %message, ?class, "request failed"),
    }
    Status::new(class.code(), message)
}

/// An error and its causes in one line.
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // Some libraries repeat the cause in their own message.
        if !line.ends_with(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pins down that a class survives the way over the wire.
    #[test]
    fn classes_survive_a_round_trip() {
        use ErrorClass::*;
        for class in [
            Invalid,
            Unauthenticated,
            NotFound,
            AlreadyExists,
            Conflict,
            Exhausted,
            TimedOut,
            Unavailable,
            Unsupported,
            Corrupt,
            Internal,
        ] {
            assert_eq!(ErrorClass::of_status(&Status::new(class.code(), "")), class);
        }
    }

    /// Pins down that a status names the cause, and stays small enough for a header.
    #[test]
    fn a_status_carries_the_causes_within_bounds() {
        #[derive(Debug, thiserror::Error)]
        #[error("reading block 7 failed")]
        struct Outer(#[source] std::io::Error);
        impl Classified for Outer {
            fn class(&self) -> ErrorClass {
                ErrorClass::Unavailable
            }
        }
        let status =
            to_status(&Outer(std::io::Error::other(format!("disk {}", "é".repeat(5_000)))));
        assert_eq!(status.code(), Code::Unavailable);
        assert!(status.message().starts_with("reading block 7 failed: disk é"));
        assert!(status.message().len() <= 2_048);
    }
}
