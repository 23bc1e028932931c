//! Making one proof, in another process.

mod tail;

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sidereal_block_prover::{MAX_ENCODED_BYTES, Stage};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Mutex;

use crate::child::{self, EVENT_MARK, Event, MAX_LINE_BYTES, Request, Verdict, Work};
use crate::job::Target;
use crate::saver::Figures;
use tail::Tail;

/// A proof, and what it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed {
    /// The encoded proof.
    pub proof: Bytes,
    /// Time and memory.
    pub figures: Figures,
}

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    /// The files of the job cannot be handled.
    #[error("{operation}")]
    Scratch {
        /// What was tried.
        operation: &'static str,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// The process cannot be started.
    #[error("start the prover {}", .program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// The process ended without an answer.
    #[error("the prover {how} during {stage}{said}")]
    Died {
        /// Signal or exit code, in words.
        how: String,
        /// What it was doing.
        stage: &'static str,
        /// The last lines that it wrote to standard error, if any.
        said: String,
    },
    /// The process said that there is no proof.
    #[error("the prover failed during {stage}: {cause}")]
    Failed {
        /// What it was doing.
        stage: &'static str,
        /// What it said.
        cause: String,
        /// What it thinks that follows.
        verdict: Verdict,
    },
    /// The process wrote something that is no event.
    #[error("the prover spoke nonsense: {line}")]
    Nonsense {
        /// The line, cut.
        line: String,
    },
    /// More than any verifier reads.
    #[error("the prover wrote a proof of {bytes} bytes, and {MAX_ENCODED_BYTES} are read")]
    TooLong {
        /// Size of the file.
        bytes: u64,
    },
}

impl ExecuteError {
    /// Whether another try may succeed with the same inputs.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Failed { verdict, .. } => *verdict == Verdict::Retry,
            Self::TooLong { .. } => false,
            _ => true,
        }
    }

    /// Whether proving came to another result than the block.
    pub fn is_dispute(&self) -> bool {
        matches!(self, Self::Failed { verdict: Verdict::Disputed, .. })
    }
}

/// Makes proofs.
#[async_trait]
pub trait Executor: Send + Sync {
    /// The proof of a target, made from what the job takes; `enter` is told each stage as it begins. Dropping the
    /// future ends the work.
    async fn execute(
        &self,
        target: Target,
        inputs: Vec<Bytes>,
        enter: &(dyn Fn(Stage) + Send + Sync),
    ) -> Result<Executed, ExecuteError>;
}

/// How the prover's process is started.
#[derive(Clone, Debug)]
pub struct ChildProgram {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Variables on top of our own.
    pub environment: Vec<(OsString, OsString)>,
}

impl ChildProgram {
    /// A binary that calls [`child::main_if_requested`], with this many threads (0: one a core) and this much less
    /// claim to a processor than others (`nice`, 0: as much).
    pub fn prover(program: PathBuf, threads: u32, niceness: u32) -> Self {
        let mut environment = Vec::new();
        if threads > 0 {
            environment.push(("RAYON_NUM_THREADS".into(), threads.to_string().into()));
        }
        if niceness == 0 {
            return Self { program, arguments: vec![child::ARGUMENT.into()], environment };
        }
        // `nice` becomes the program, so that the process we hold is the prover itself.
        let arguments = vec![
            "-n".into(),
            niceness.to_string().into(),
            program.into_os_string(),
            child::ARGUMENT.into(),
        ];
        Self { program: "nice".into(), arguments, environment }
    }
}

/// Runs the prover in a process that is kept between jobs and killed when a job is given up.
pub struct ChildExecutor {
    program: ChildProgram,
    scratch: Option<PathBuf>,
    /// The process that waits for the next job.
    idle: Mutex<Option<Prover>>,
}

impl ChildExecutor {
    /// Files of a job are made below `scratch`, or in the system's folder for such.
    pub fn new(program: ChildProgram, scratch: Option<PathBuf>) -> Self {
        Self { program, scratch, idle: Mutex::new(None) }
    }

    fn scratch(&self) -> Result<tempfile::TempDir, ExecuteError> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("sidereal-proof-");
        match &self.scratch {
            Some(folder) => builder.tempdir_in(folder),
            None => builder.tempdir(),
        }
        .map_err(|source| ExecuteError::Scratch { operation: "make a folder for a job", source })
    }

    async fn take(&self) -> Result<Prover, ExecuteError> {
        if let Some(mut waiting) = self.idle.lock().await.take() {
            // One that died while it waited is no failure of the next job.
            if matches!(waiting.child.try_wait(), Ok(None)) {
                return Ok(waiting);
            }
        }
        Prover::start(&self.program)
    }
}

#[async_trait]
impl Executor for ChildExecutor {
    async fn execute(
        &self,
        target: Target,
        inputs: Vec<Bytes>,
        enter: &(dyn Fn(Stage) + Send + Sync),
    ) -> Result<Executed, ExecuteError> {
        let scratch = self.scratch()?;
        let failed = |operation| move |source| ExecuteError::Scratch { operation, source };
        let work = match target {
            Target::Block { .. } => Work::Block,
            Target::Step(step) => Work::Step(step),
        };
        let proof = scratch.path().join("proof.bin");
        let mut request = Request { work, inputs: Vec::with_capacity(inputs.len()), proof };
        for (index, bytes) in inputs.iter().enumerate() {
            let path = scratch.path().join(format!("input-{index}.bin"));
            tokio::fs::write(&path, bytes).await.map_err(failed("write an input"))?;
            request.inputs.push(path);
        }
        // Held here while it works: dropped with this future, it is killed.
        let mut prover = self.take().await?;
        let answer = prover.prove(&request, enter).await;
        if matches!(answer, Ok(_) | Err(ExecuteError::Failed { .. })) {
            *self.idle.lock().await = Some(prover);
        }
        let figures = answer?;

        let length =
            tokio::fs::metadata(&request.proof).await.map_err(failed("look at the proof"))?.len();
        if usize::try_from(length).is_ok_and(|length| length <= MAX_ENCODED_BYTES) {
            let proof = tokio::fs::read(&request.proof).await.map_err(failed("read the proof"))?;
            Ok(Executed { proof: proof.into(), figures })
        } else {
            Err(ExecuteError::TooLong { bytes: length })
        }
    }
}

/// How long a process that closed its output may take to end.
const END_WAIT: Duration = Duration::from_secs(10);

/// A running process.
struct Prover {
    child: Child,
    requests: ChildStdin,
    events: BufReader<ChildStdout>,
    errors: Tail,
}

impl Prover {
    fn start(program: &ChildProgram) -> Result<Self, ExecuteError> {
        let start = |source| ExecuteError::Start { program: program.program.clone(), source };
        let mut child = Command::new(&program.program)
            .args(&program.arguments)
            .envs(program.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            // Signals from a terminal are for us; we decide what they mean for the proof.
            .process_group(0)
            .spawn()
            .map_err(start)?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(requests), Some(events), Some(errors)) = pipes else {
            return Err(start(std::io::Error::other("its pipes are missing")));
        };
        tracing::info!(pid = child.id(), "prover process started");
        Ok(Self { child, requests, events: BufReader::new(events), errors: Tail::follow(errors) })
    }

    async fn prove(
        &mut self,
        request: &Request,
        enter: &(dyn Fn(Stage) + Send + Sync),
    ) -> Result<Figures, ExecuteError> {
        let mut stage = "start";
        let mut line = serde_json::to_vec(request).map_err(|error| ExecuteError::Scratch {
            operation: "write the request",
            source: error.into(),
        })?;
        line.push(b'\n');
        if self.requests.write_all(&line).await.is_err() || self.requests.flush().await.is_err() {
            return Err(self.died(stage).await);
        }
        loop {
            let Some(line) = self.line().await else { return Err(self.died(stage).await) };
            let Some(event) = line.strip_prefix(EVENT_MARK) else {
                tracing::debug!(line, "prover output");
                continue;
            };
            match serde_json::from_str(event) {
                Ok(Event::Stage { stage: begun }) => {
                    stage = begun.name();
                    enter(begun);
                }
                Ok(Event::Done { figures }) => return Ok(figures),
                Ok(Event::Failed { cause, verdict }) => {
                    return Err(ExecuteError::Failed { stage, cause, verdict });
                }
                Err(_) => {
                    return Err(ExecuteError::Nonsense { line: line.chars().take(200).collect() });
                }
            }
        }
    }

    /// The next line, or none when the process has closed its output. A line over the bound is cut, and its rest
    /// counts as further lines.
    async fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        let limit = u64::try_from(MAX_LINE_BYTES).unwrap_or(u64::MAX);
        match (&mut self.events).take(limit).read_until(b'\n', &mut line).await {
            Ok(1..) => Some(String::from_utf8_lossy(&line).trim_end().to_owned()),
            Ok(0) | Err(_) => None,
        }
    }

    async fn died(&mut self, stage: &'static str) -> ExecuteError {
        let how = match tokio::time::timeout(END_WAIT, self.child.wait()).await {
            Ok(Ok(status)) => in_words(status),
            Ok(Err(error)) => format!("ended, nobody knows how ({error})"),
            Err(_) => "closed its output and did not end".to_owned(),
        };
        ExecuteError::Died { how, stage, said: self.errors.said().await }
    }
}

fn in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(9)) => {
            "was killed by signal 9 (SIGKILL; the kernel sends it when memory runs out)".to_owned()
        }
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => format!("ended ({status})"),
    }
}
