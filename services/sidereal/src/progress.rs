//! A line about what takes longer than a second, of commands that people watch.

use std::fmt::Display;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use crate::print::{self, OutputError};

const PERIOD: Duration = Duration::from_secs(1);

/// Says at most once a second how far something is; on a terminal over the line before.
#[derive(Debug)]
pub struct Progress {
    told: Instant,
    terminal: bool,
    has_line: bool,
}

impl Progress {
    pub fn new() -> Self {
        let terminal = std::io::stdout().is_terminal();
        Self { told: Instant::now(), terminal, has_line: false }
    }

    pub fn tell(&mut self, text: impl Display) -> Result<(), OutputError> {
        if self.told.elapsed() < PERIOD {
            return Ok(());
        }
        self.told = Instant::now();
        self.has_line = self.terminal;
        if self.terminal {
            print::over(format_args!("  {text}"))
        } else {
            print::line(format_args!("  {text}"))
        }
    }

    /// Makes room for a line that stays.
    pub fn clear(&mut self) -> Result<(), OutputError> {
        if std::mem::take(&mut self.has_line) { print::over("") } else { Ok(()) }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}
