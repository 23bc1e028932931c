//! From a method's name to its handler, with what all methods share: parameters, a bound on calls in
//! progress, a time limit, metrics, and a net under panics.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use jsonrpsee::RpcModule;
use jsonrpsee::core::RegisterMethodError;
use jsonrpsee::types::ErrorObjectOwned;
use serde::Serialize;
use tokio::sync::Semaphore;
use tracing::Instrument as _;

use crate::error::RpcError;
use crate::gateway::Gateway;
use crate::params::Arguments;

/// Which bound a method counts against, besides that of all calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Reads and submissions.
    Light,
    /// Keeps an executor busy.
    Execution,
}

/// What is registered.
pub struct Registry {
    module: RpcModule<Gateway>,
    calls: Arc<Semaphore>,
    executions: Arc<Semaphore>,
    timeout: Duration,
}

impl Registry {
    pub fn new(gateway: Gateway) -> Self {
        let limits = gateway.limits();
        Self {
            calls: Arc::new(Semaphore::new(
                limits.max_concurrent_calls.min(Semaphore::MAX_PERMITS),
            )),
            executions: Arc::new(Semaphore::new(
                limits.max_concurrent_executions.min(Semaphore::MAX_PERMITS),
            )),
            timeout: Duration::from_millis(limits.request_timeout_ms),
            module: RpcModule::new(gateway),
        }
    }

    /// Registers a method. `names` are its parameters as the specification orders them.
    pub fn method<T, Fut>(
        &mut self,
        name: &'static str,
        names: &'static [&'static str],
        weight: Weight,
        handler: fn(Arc<Gateway>, Arguments) -> Fut,
    ) -> Result<&mut Self, RegisterMethodError>
    where
        T: Serialize + Clone + Send + 'static,
        Fut: Future<Output = Result<T, RpcError>> + Send + 'static,
    {
        let calls = Arc::clone(&self.calls);
        let executions = match weight {
            Weight::Light => None,
            Weight::Execution => Some(Arc::clone(&self.executions)),
        };
        let timeout = self.timeout;
        self.module.register_async_method(name, move |params, gateway, _| {
            let calls = Arc::clone(&calls);
            let executions = executions.clone();
            async move {
                let started = Instant::now();
                let work = async {
                    // Refusing beats queueing: a caller that is told so can go to another replica.
                    let _call = calls.try_acquire().map_err(|_| RpcError::Busy)?;
                    let _execution = match &executions {
                        Some(executions) => {
                            Some(executions.try_acquire().map_err(|_| RpcError::Busy)?)
                        }
                        None => None,
                    };
                    let arguments = Arguments::read(&params, names)?;
                    tokio::time::timeout(timeout, handler(gateway, arguments))
                        .await
                        .map_err(|_| RpcError::TimedOut)?
                };
                let span = tracing::info_span!("json-rpc", otel.name = name, otel.kind = "server");
                let work = AssertUnwindSafe(work).catch_unwind().instrument(span);
                let result = work.await.unwrap_or_else(|_| {
                    tracing::error!(method = name, "a JSON-RPC handler panicked");
                    Err(RpcError::Internal { operation: "answer the call" })
                });
                record(name, started, result.as_ref().err());
                result.map_err(ErrorObjectOwned::from)
            }
        })?;
        Ok(self)
    }

    pub fn into_module(self) -> RpcModule<Gateway> {
        self.module
    }
}

fn record(method: &'static str, started: Instant, error: Option<&RpcError>) {
    // Codes are a closed set, so the label is bounded.
    let code = error.map_or_else(|| "ok".to_owned(), |error| error.code().to_string());
    metrics::counter!("gateway_rpc_calls_total", "method" => method, "code" => code).increment(1);
    metrics::histogram!("gateway_rpc_duration_seconds", "method" => method)
        .record(started.elapsed().as_secs_f64());
}
