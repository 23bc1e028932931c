//! The loop of the prover's process.

use std::io::{BufRead, Write};
use std::process::ExitCode;
use std::sync::mpsc;

use sidereal_block_prover::{ProgressSink, Stage};
use sidereal_execution::outcome::shorten;
use sidereal_service::error_chain;

use super::{EVENT_MARK, Event, MAX_LINE_BYTES, Request, Verdict, Work};
use crate::saver::Figures;

/// Cairo 0 and Sierra call trees recurse; a main thread's eight megabytes are too few for the deepest.
const STACK_BYTES: usize = 256 << 20;

/// Of a cause: each byte takes up to six in a line, and one that is longer than [`MAX_LINE_BYTES`] is no event.
const MAX_CAUSE_BYTES: usize = MAX_LINE_BYTES / 8;

/// Why there is no proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The error with its causes.
    pub cause: String,
    /// What follows from it.
    pub verdict: Verdict,
}

impl Refusal {
    /// A failure that depends on the inputs alone.
    pub fn permanent(error: &dyn std::error::Error) -> Self {
        Self { cause: error_chain(error), verdict: Verdict::GiveUp }
    }

    /// Inputs that do not fit what is to be made of them.
    pub fn wrong(what: &str) -> Self {
        Self { cause: what.to_owned(), verdict: Verdict::GiveUp }
    }

    /// A failure of this attempt.
    pub fn retryable(error: &dyn std::error::Error) -> Self {
        Self { cause: error_chain(error), verdict: Verdict::Retry }
    }

    /// Another result than the block's.
    pub fn disputed(error: &dyn std::error::Error) -> Self {
        Self { cause: error_chain(error), verdict: Verdict::Disputed }
    }
}

/// Makes proofs from files.
pub trait ProofMaker {
    /// The encoded proof, made from the encoded inputs.
    fn make(
        &mut self,
        work: Work,
        inputs: &[Vec<u8>],
        progress: &dyn ProgressSink,
    ) -> Result<(Vec<u8>, Figures), Refusal>;
}

/// Answers requests from standard input until it ends. The prover is made on the thread that uses it.
pub fn serve<P: ProofMaker>(make: impl FnOnce() -> P + Send) -> ExitCode {
    let (requests, incoming) = mpsc::sync_channel::<Request>(1);
    let reader = std::thread::Builder::new().name("requests".to_owned());
    let reading = reader.spawn(move || {
        let code = read_requests(&requests);
        // The parent is gone or talks nonsense: whatever is being proven, nobody waits for it.
        std::process::exit(code);
    });
    if let Err(error) = reading {
        eprintln!("the thread that reads requests cannot be started: {error}");
        return ExitCode::FAILURE;
    }
    std::thread::scope(|scope| {
        let prover = std::thread::Builder::new().name("prover".to_owned()).stack_size(STACK_BYTES);
        let proving = prover.spawn_scoped(scope, move || {
            let mut prover = make();
            // Ends only with the process: the sender lives in the thread that ends it.
            for request in incoming {
                tell(&answer(&mut prover, &request));
            }
        });
        match proving.map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(())) => ExitCode::SUCCESS,
            // The panic has been written to standard error, where the parent finds it.
            Ok(Err(_)) => ExitCode::from(101),
            Err(error) => {
                eprintln!("the proving thread cannot be started: {error}");
                ExitCode::FAILURE
            }
        }
    })
}

fn read_requests(requests: &mpsc::SyncSender<Request>) -> i32 {
    let mut input = std::io::stdin().lock();
    let mut line = String::new();
    loop {
        line.clear();
        let limit = u64::try_from(MAX_LINE_BYTES).unwrap_or(u64::MAX);
        match std::io::Read::take(&mut input, limit).read_line(&mut line) {
            Ok(0) => return 0,
            Ok(_) => {}
            Err(error) => {
                eprintln!("requests cannot be read: {error}");
                return 1;
            }
        }
        match serde_json::from_str(&line) {
            Ok(request) => {
                if requests.send(request).is_err() {
                    return 1;
                }
            }
            Err(error) => {
                eprintln!("a request cannot be read: {error}");
                return 1;
            }
        }
    }
}

fn answer(prover: &mut impl ProofMaker, request: &Request) -> Event {
    let progress = |stage: Stage| tell(&Event::Stage { stage });
    let failed = |refusal: Refusal| Event::Failed {
        cause: shorten(&refusal.cause, MAX_CAUSE_BYTES),
        verdict: refusal.verdict,
    };
    let inputs = request.inputs.iter().map(std::fs::read).collect::<Result<Vec<_>, _>>();
    let inputs = match inputs {
        Ok(inputs) => inputs,
        Err(error) => return failed(Refusal::retryable(&error)),
    };
    let (proof, figures) = match prover.make(request.work, &inputs, &progress) {
        Ok(done) => done,
        Err(refusal) => return failed(refusal),
    };
    match std::fs::write(&request.proof, proof) {
        Ok(()) => Event::Done { figures },
        Err(error) => failed(Refusal::retryable(&error)),
    }
}

fn tell(event: &Event) {
    // Serialising this enum cannot fail, and without a reader of the pipe nobody is left to be told.
    if let Ok(line) = serde_json::to_string(event) {
        let mut output = std::io::stdout().lock();
        let _ = writeln!(output, "{EVENT_MARK}{line}").and_then(|()| output.flush());
    }
}
