//! `sidereal jobs`: what is being proven, what failed and why, and putting a parked job back.

use anyhow::Context as _;
use sidereal_proto::proofs::proof_store_service_client::ProofStoreServiceClient;
use sidereal_proto::proofs::{Job, JobState, ListJobsRequest, RequeueJobRequest};
use sidereal_service::Secret;
use sidereal_service::auth::AuthConfig;
use sidereal_service::grpc::{ConnectConfig, ServiceChannel, channel};

use crate::{CommandFuture, print};

/// Where the proof store is, and the token that it wants.
#[derive(Clone, Debug, clap::Args)]
pub struct ProofStoreArgs {
    /// gRPC endpoint of the proof store.
    #[arg(long, default_value = "http://127.0.0.1:9549")]
    pub proof_store: String,
    /// File with the token that the services share, if they have one.
    #[arg(long)]
    pub token_file: Option<std::path::PathBuf>,
}

impl ProofStoreArgs {
    /// A client; it connects at its first call.
    pub fn client(&self) -> anyhow::Result<ProofStoreServiceClient<ServiceChannel>> {
        Ok(ProofStoreServiceClient::new(self.channel()?)
            .max_decoding_message_size(sidereal_proto::MAX_MESSAGE_BYTES))
    }

    /// What clients of all its services are made of.
    pub fn channel(&self) -> anyhow::Result<ServiceChannel> {
        let mut auth = AuthConfig::default();
        if let Some(path) = &self.token_file {
            let token = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read the token file {}", path.display()))?;
            auth.token = Secret::new(token.trim().to_owned());
        }
        let connect = ConnectConfig { url: self.proof_store.clone(), ..ConnectConfig::default() };
        channel(&connect, &auth)
            .with_context(|| format!("cannot use {} as the proof store", self.proof_store))
    }
}

/// Options of `sidereal jobs`.
#[derive(Clone, Debug, clap::Args)]
pub struct JobsOptions {
    #[command(flatten)]
    pub store: ProofStoreArgs,
    #[command(subcommand)]
    pub command: JobsCommand,
}

#[derive(Clone, Debug, clap::Subcommand)]
pub enum JobsCommand {
    /// Lists jobs that are queued, running or parked.
    List {
        /// Only those in this state.
        #[arg(long, value_enum)]
        state: Option<StateArg>,
        /// At most this many.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
    },
    /// Puts a parked job back into the queue.
    Requeue {
        /// The job's id, as `list` prints it.
        id: String,
    },
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum StateArg {
    Queued,
    Running,
    Parked,
    Done,
}

impl From<StateArg> for JobState {
    fn from(state: StateArg) -> Self {
        match state {
            StateArg::Queued => JobState::Queued,
            StateArg::Running => JobState::Running,
            StateArg::Parked => JobState::Parked,
            StateArg::Done => JobState::Done,
        }
    }
}

/// Runs the command and prints its answer.
pub fn command(options: JobsOptions) -> CommandFuture {
    Box::pin(run(options))
}

async fn run(options: JobsOptions) -> anyhow::Result<()> {
    let mut client = options.store.client()?;
    match options.command {
        JobsCommand::List { state, limit } => {
            let state = state.map_or(JobState::Unspecified, JobState::from);
            let jobs = client
                .list_jobs(ListJobsRequest { state: state.into(), limit })
                .await
                .context("cannot list the jobs; is the proof store running?")?
                .into_inner()
                .jobs;
            if jobs.is_empty() {
                print::line("no jobs")?;
            }
            for job in jobs {
                print::line(line(&job))?;
            }
        }
        JobsCommand::Requeue { id } => {
            let answer = client
                .requeue_job(RequeueJobRequest { id: id.clone() })
                .await
                .with_context(|| format!("cannot requeue job {id}"))?
                .into_inner();
            match answer.job {
                Some(job) => print::line(line(&job))?,
                None => print::line(format_args!("requeued {id}"))?,
            }
        }
    }
    Ok(())
}

/// One job in one line.
pub fn line(job: &Job) -> String {
    let state = match job.state() {
        JobState::Queued => "queued",
        JobState::Running => "running",
        JobState::Parked => "parked",
        JobState::Done => "done",
        JobState::Unspecified => "unknown",
    };
    let what = if job.step.is_empty() {
        format!("block {:<6}", job.block_number)
    } else {
        format!("step {}", job.step)
    };
    let mut line = format!("{what} {state:<8} deliveries {}  {}", job.deliveries, job.id);
    if !job.stage.is_empty() {
        line.push_str(&format!(
            "  {} on {} for {:.0} s",
            job.stage,
            job.worker,
            std::time::Duration::from_millis(job.running_for_ms).as_secs_f64()
        ));
    }
    if !job.cause.is_empty() {
        line.push_str(&format!("\n    cause: {}", job.cause));
    }
    line
}
