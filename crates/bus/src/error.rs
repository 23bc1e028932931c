//! What can go wrong on the bus.

use sidereal_service::{Classified, ErrorClass};

/// The cause behind a failed operation of an implementation.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// A failed operation on the bus.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// A name that cannot be used.
    #[error(
        "{what} {name:?} is not made of 1 to 128 letters, digits, '_' and '-' (subjects: dot-separated)"
    )]
    BadName {
        /// What was named.
        what: &'static str,
        /// The name as given.
        name: String,
    },
    /// A body over the bound.
    #[error("payload of {subject} has {size} bytes, the limit is {limit}")]
    TooLarge {
        /// The subject or queue.
        subject: String,
        /// Its size in bytes.
        size: usize,
        /// The bound in bytes.
        limit: usize,
    },
    /// The queue holds as many jobs as it may.
    #[error("queue {queue} is full ({limit} jobs)")]
    QueueFull {
        /// The queue.
        queue: String,
        /// The bound.
        limit: u64,
    },
    /// No job of that id in the state the operation needs.
    #[error("no such job {job_id} in queue {queue}")]
    NoSuchJob {
        /// The queue.
        queue: String,
        /// The job.
        job_id: String,
    },
    /// The lease was over before the answer came; someone else may hold the job now.
    #[error("the lease of job {job_id} in queue {queue} is over")]
    LeaseLost {
        /// The queue.
        queue: String,
        /// The job.
        job_id: String,
    },
    /// The configuration names no implementation.
    #[error("bus URL {url:?} is neither nats://host:port nor sqlite:<file>")]
    BadUrl {
        /// The URL as given.
        url: String,
    },
    /// The bus did not answer as it should.
    #[error("{operation} {object} failed")]
    Failed {
        /// What was tried.
        operation: &'static str,
        /// On what.
        object: String,
        /// Why it failed.
        #[source]
        source: Source,
    },
    /// A stored record that cannot be read back.
    #[error("{object} is stored in a form that cannot be read")]
    Corrupt {
        /// What was read.
        object: String,
        /// Why it cannot be read.
        #[source]
        source: Source,
    },
}

impl BusError {
    pub(crate) fn failed(
        operation: &'static str,
        object: impl Into<String>,
        source: impl Into<Source>,
    ) -> Self {
        Self::Failed { operation, object: object.into(), source: source.into() }
    }
}

impl Classified for BusError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::BadName { .. } | Self::BadUrl { .. } => ErrorClass::Invalid,
            Self::TooLarge { .. } | Self::QueueFull { .. } => ErrorClass::Exhausted,
            Self::NoSuchJob { .. } => ErrorClass::NotFound,
            Self::LeaseLost { .. } => ErrorClass::Conflict,
            Self::Failed { .. } => ErrorClass::Unavailable,
            Self::Corrupt { .. } => ErrorClass::Corrupt,
        }
    }
}
