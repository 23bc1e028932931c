//! The standard output of the operator's commands. Unlike `println!`, nothing panics when its reader goes away
//! (`sidereal jobs list | head -1`): the command ends, quietly.

use std::fmt::Display;
use std::io::{self, Write as _};

/// Nothing can be printed any more.
#[derive(Debug, thiserror::Error)]
#[error("writing to the standard output failed")]
pub struct OutputError(#[source] io::Error);

impl OutputError {
    /// Whether the other end of the pipe was closed: nobody wants to know more.
    pub fn reader_is_gone(&self) -> bool {
        self.0.kind() == io::ErrorKind::BrokenPipe
    }
}

/// Prints one line.
pub fn line(text: impl Display) -> Result<(), OutputError> {
    writeln!(io::stdout().lock(), "{text}").map_err(OutputError)
}

/// Prints over the line that was printed so before; for a terminal.
pub fn over(text: impl Display) -> Result<(), OutputError> {
    let mut out = io::stdout().lock();
    write!(out, "\r\x1b[2K{text}").and_then(|()| out.flush()).map_err(OutputError)
}
