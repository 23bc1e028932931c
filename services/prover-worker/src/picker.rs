//! Taking one job.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sidereal_bus::{Bus, BusError, Headers, Lease};
use sidereal_service::{Classified, ErrorClass, error_chain};

use crate::heartbeat::Lifeline;
use crate::job::ProveJob;

/// A job in our hands.
#[derive(Debug)]
pub struct Assignment {
    /// What to do.
    pub job: ProveJob,
    /// The hold on it.
    pub lease: Lease,
    /// What travelled with it: the trace context.
    pub headers: Headers,
}

/// No job could be taken.
#[derive(Debug, thiserror::Error)]
pub enum PickError {
    /// The bus failed.
    #[error("take a job")]
    Bus(#[source] BusError),
    /// The thread of the bus connection is gone.
    #[error("the thread that holds the bus connection has ended")]
    Lifeline,
}

impl Classified for PickError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Bus(error) => error.class(),
            Self::Lifeline => ErrorClass::Internal,
        }
    }
}

/// Takes jobs, one at a time.
#[async_trait]
pub trait Picker: Send + Sync {
    /// The next job, or none within `wait`. Cancelling it may leave a job leased that nobody works on until the
    /// lease is over, so it is not to be cancelled lightly.
    async fn pick(&self, wait: Duration) -> Result<Option<Assignment>, PickError>;
}

/// How long is waited in each queue but the last one: a look.
const LOOK: Duration = Duration::from_millis(20);

/// Takes jobs from queues of the bus: from the first one that has any.
pub struct BusPicker {
    bus: Arc<dyn Bus>,
    queues: Vec<String>,
    lifeline: Arc<Lifeline>,
}

impl BusPicker {
    /// Calls of `bus` are made on the runtime of `lifeline`, on which it must have been opened.
    pub fn new(bus: Arc<dyn Bus>, queues: Vec<String>, lifeline: Arc<Lifeline>) -> Self {
        Self { bus, queues, lifeline }
    }
}

#[async_trait]
impl Picker for BusPicker {
    async fn pick(&self, wait: Duration) -> Result<Option<Assignment>, PickError> {
        let (bus, queues) = (self.bus.clone(), self.queues.clone());
        let pull = async move {
            let mut found = None;
            for (index, queue) in queues.iter().enumerate() {
                let wait = if index + 1 == queues.len() { wait } else { LOOK };
                found = bus.pull(queue, wait).await.map_err(PickError::Bus)?;
                if found.is_some() {
                    break;
                }
            }
            let Some(lease) = found else { return Ok(None) };
            match ProveJob::read(lease.job()) {
                Ok(job) => {
                    let headers = lease.job().headers.clone();
                    Ok(Some(Assignment { job, lease, headers }))
                }
                Err(error) => {
                    let cause = error_chain(&error);
                    tracing::error!(job = lease.job().job_id, cause, "a job cannot be read");
                    lease.fail(&cause).await.map_err(PickError::Bus)?;
                    Ok(None)
                }
            }
        };
        self.lifeline.run(pull).await.map_err(|_| PickError::Lifeline)?
    }
}
