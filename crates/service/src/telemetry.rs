//! Logs, traces and metrics.
//!
//! A trace follows a request over gRPC (metadata), and a block from its opening over the bus (headers) to its proof, in
//! the form of W3C Trace Context.
//! Without an OTLP endpoint no spans are recorded, and a trace ends here: every call would pay for them.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use serde::{Deserialize, Serialize};
use tonic::metadata::{MetadataKey, MetadataMap, MetadataValue};
use tracing::{Level, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::config::Problems;

/// The `telemetry` section.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryConfig {
    /// How log lines look.
    pub log_format: LogFormat,
    /// Which log lines are written, as `tracing_subscriber::EnvFilter` has it (`info,sidereal_bus=debug`).
    pub log_filter: String,
    /// OTLP over gRPC, for example `http://127.0.0.1:4317`; nothing is exported without it.
    pub otlp_endpoint: Option<String>,
    /// Share of traces begun here that are exported, 0 to 1. A caller's decision is kept.
    pub trace_ratio: f64,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Pretty,
    /// One JSON object a line.
    Json,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            log_format: LogFormat::Pretty,
            log_filter: "info".to_owned(),
            otlp_endpoint: None,
            trace_ratio: 1.0,
        }
    }
}

impl TelemetryConfig {
    /// Says everything that is wrong with the values.
    pub fn validate(&self, section: &str, problems: &mut Problems) {
        if let Err(error) = EnvFilter::try_new(&self.log_filter) {
            problems.add(section, "log_filter", format!("is no filter: {error}"));
        }
        if let Some(endpoint) = &self.otlp_endpoint {
            problems.http_url(section, "otlp_endpoint", endpoint);
        }
        problems.require(
            section,
            "trace_ratio",
            (0.0..=1.0).contains(&self.trace_ratio),
            "must be between 0 and 1",
        );
    }
}

/// Telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The exporter could not be made.
    #[error("setting up the OTLP exporter for {endpoint} failed")]
    Exporter {
        /// As configured.
        endpoint: String,
        /// Why.
        #[source]
        source: opentelemetry_otlp::ExporterBuildError,
    },
    /// The log filter is none.
    #[error("log filter {filter:?} cannot be used")]
    Filter {
        /// As configured.
        filter: String,
        /// Why.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// This process has a subscriber already.
    #[error("installing the log subscriber failed")]
    Subscriber(#[source] tracing_subscriber::util::TryInitError),
    /// This process has a recorder already.
    #[error("installing the metrics recorder failed")]
    Metrics(#[source] metrics_exporter_prometheus::BuildError),
}

/// Keeps the exporter; spans that are not exported yet are when it is dropped.
#[derive(Debug)]
pub struct Telemetry {
    provider: Option<SdkTracerProvider>,
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(provider) = self.provider.take()
            && let Err(error) = provider.shutdown()
        {
            tracing::warn!(%error, "the last spans could not be exported");
        }
    }
}

/// Sets up the process: log subscriber, exporter, metrics recorder. Once per process, inside a tokio runtime.
pub fn init(service: &'static str, config: &TelemetryConfig) -> Result<Telemetry, TelemetryError> {
    let filter = EnvFilter::try_new(&config.log_filter)
        .map_err(|source| TelemetryError::Filter { filter: config.log_filter.clone(), source })?;
    let provider = config
        .otlp_endpoint
        .as_ref()
        .map(|endpoint| {
            let exporter = opentelemetry_otlp::SpanExporter::builder()
                .with_tonic()
                .with_endpoint(endpoint)
                .with_timeout(Duration::from_secs(5))
                .build()
                .map_err(|source| TelemetryError::Exporter {
                    endpoint: endpoint.clone(),
                    source,
                })?;
            Ok(SdkTracerProvider::builder()
                .with_batch_exporter(exporter)
                .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(
                    config.trace_ratio,
                ))))
                .with_resource(
                    opentelemetry_sdk::Resource::builder().with_service_name(service).build(),
                )
                .build())
        })
        .transpose()?;
    // Only spans of ours: the libraries' own, one for each frame and query, cost more than the work they describe.
    let ours = Targets::new().with_target("sidereal", Level::INFO);
    let traces = provider.as_ref().map(|provider| {
        let tracer = provider.tracer("sidereal");
        tracing_opentelemetry::layer().with_tracer(tracer).with_filter(ours)
    });
    let logs = match config.log_format {
        LogFormat::Pretty => tracing_subscriber::fmt::layer().with_writer(std::io::stderr).boxed(),
        LogFormat::Json => {
            tracing_subscriber::fmt::layer().json().with_writer(std::io::stderr).boxed()
        }
    };
    tracing_subscriber::registry()
        .with(traces)
        .with(logs.with_filter(filter))
        .try_init()
        .map_err(TelemetryError::Subscriber)?;
    install_metrics()?;
    Ok(Telemetry { provider })
}

static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();

fn install_metrics() -> Result<(), TelemetryError> {
    if METRICS.get().is_some() {
        return Ok(());
    }
    // Seconds: from a cache hit to a proof.
    const SECONDS: &[f64] =
        &[0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];
    let handle = PrometheusBuilder::new()
        .set_buckets(SECONDS)
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(TelemetryError::Metrics)?;
    let upkeep = METRICS.get_or_init(|| handle).clone();
    tokio::spawn(async move {
        // Without upkeep histograms would keep every sample until somebody scrapes.
        let mut timer = tokio::time::interval(Duration::from_secs(5));
        loop {
            timer.tick().await;
            upkeep.run_upkeep();
        }
    });
    Ok(())
}

/// All metrics of the process in Prometheus' text format; empty when telemetry was not set up.
pub fn render_metrics() -> String {
    METRICS.get().map(PrometheusHandle::render).unwrap_or_default()
}

/// Puts the present trace context into message headers.
pub fn inject_headers(headers: &mut BTreeMap<String, String>) {
    struct Headers<'a>(&'a mut BTreeMap<String, String>);
    impl Injector for Headers<'_> {
        fn set(&mut self, key: &str, value: String) {
            if !value.is_empty() {
                self.0.insert(key.to_owned(), value);
            }
        }
    }
    TraceContextPropagator::new().inject_context(&Span::current().context(), &mut Headers(headers));
}

/// Makes `span` a child of the trace context in message headers, if there is one.
pub fn follow_headers(span: &Span, headers: &BTreeMap<String, String>) {
    struct Headers<'a>(&'a BTreeMap<String, String>);
    impl Extractor for Headers<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            self.0.get(key).map(String::as_str)
        }
        fn keys(&self) -> Vec<&str> {
            self.0.keys().map(String::as_str).collect()
        }
    }
    follow(span, &Headers(headers));
}

/// Puts the present trace context into gRPC metadata.
pub(crate) fn inject_metadata(metadata: &mut MetadataMap) {
    struct Metadata<'a>(&'a mut MetadataMap);
    impl Injector for Metadata<'_> {
        fn set(&mut self, key: &str, value: String) {
            if let (Ok(key), Ok(value)) =
                (MetadataKey::from_bytes(key.as_bytes()), MetadataValue::try_from(value))
            {
                self.0.insert(key, value);
            }
        }
    }
    TraceContextPropagator::new()
        .inject_context(&Span::current().context(), &mut Metadata(metadata));
}

/// Makes `span` a child of the trace context in HTTP headers, if there is one. For HTTP servers.
pub fn follow_http(span: &Span, headers: &axum::http::HeaderMap) {
    struct Headers<'a>(&'a axum::http::HeaderMap);
    impl Extractor for Headers<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            self.0.get(key).and_then(|value| value.to_str().ok())
        }
        fn keys(&self) -> Vec<&str> {
            self.0.keys().map(|key| key.as_str()).collect()
        }
    }
    follow(span, &Headers(headers));
}

fn follow(span: &Span, extractor: &dyn Extractor) {
    use opentelemetry::trace::TraceContextExt;
    let context = TraceContextPropagator::new().extract(extractor);
    if context.span().span_context().is_valid() {
        // It fails only where no telemetry was set up, as in tests; then there is no trace to follow.
        let _ = span.set_parent(context);
    }
}
