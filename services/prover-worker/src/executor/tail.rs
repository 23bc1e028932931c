//! The last lines of a process's standard error.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::ChildStderr;
use tokio::task::JoinHandle;

/// Lines that are kept.
const MAX_LINES: usize = 12;
/// Bytes of a line that are kept.
const MAX_LINE_BYTES: usize = 240;
/// Bytes that are read as one line at most.
const MAX_READ_BYTES: u64 = 64 * 1024;
/// How long to wait for the end of what a dead process has written.
const END_WAIT: Duration = Duration::from_secs(2);

/// Reads to the end, and keeps the last lines.
pub(super) struct Tail {
    lines: Arc<Mutex<VecDeque<String>>>,
    reading: JoinHandle<()>,
}

impl Tail {
    pub(super) fn follow(errors: ChildStderr) -> Self {
        let lines = Arc::new(Mutex::new(VecDeque::with_capacity(MAX_LINES)));
        let reading = tokio::spawn(read(BufReader::new(errors), lines.clone()));
        Self { lines, reading }
    }

    /// What was written last, to be appended to a sentence; empty if nothing was. For a process that has ended.
    pub(super) async fn said(&mut self) -> String {
        // The pipe may still hold what the process wrote before it ended.
        if tokio::time::timeout(END_WAIT, &mut self.reading).await.is_err() {
            self.reading.abort();
        }
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.is_empty() {
            return String::new();
        }
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        format!("; its last words: {}", lines.join(" | "))
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

async fn read(mut errors: BufReader<ChildStderr>, lines: Arc<Mutex<VecDeque<String>>>) {
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut errors).take(MAX_READ_BYTES).read_until(b'\n', &mut line).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => return,
        }
        let kept = &line[..line.len().min(MAX_LINE_BYTES)];
        let text = String::from_utf8_lossy(kept).trim_end().to_owned();
        if text.is_empty() {
            continue;
        }
        tracing::debug!(line = text, "prover error output");
        let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == MAX_LINES {
            lines.pop_front();
        }
        lines.push_back(text);
    }
}
