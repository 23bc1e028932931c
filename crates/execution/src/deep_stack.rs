//! Threads whose stack is as deep as native code may recurse.

use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{Builder, JoinHandle};

use blockifier::blockifier::transaction_executor::DEFAULT_STACK_SIZE;

thread_local! {
    static IS_DEEP: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` on a thread with a deep stack: this one if it has one, or else a new one.
pub(crate) fn on_deep_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, &'static str> {
    const PANICKED: &str = "panicked";
    if IS_DEEP.get() {
        // What a panic left half done is dropped by the caller, which gives the block or the query up.
        return std::panic::catch_unwind(AssertUnwindSafe(work)).map_err(|_| PANICKED);
    }
    std::thread::scope(|scope| {
        builder("execution")
            .spawn_scoped(scope, work)
            .map_err(|_| "could not be started")?
            .join()
            .map_err(|_| PANICKED)
    })
}

/// A new thread with a deep stack.
pub fn spawn_deep<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<JoinHandle<T>> {
    builder(name).spawn(move || {
        IS_DEEP.set(true);
        work()
    })
}

fn builder(name: &str) -> Builder {
    Builder::new().name(name.to_owned()).stack_size(DEFAULT_STACK_SIZE)
}

type Job = Box<dyn FnOnce() + Send>;

/// Threads with deep stacks that outlive their jobs: starting one for each query costs more than a short query.
/// They end when this is dropped.
#[derive(Debug)]
pub struct DeepThreads {
    jobs: mpsc::SyncSender<Job>,
}

impl DeepThreads {
    /// Starts so many threads, at least one.
    pub fn start(name: &str, threads: usize) -> std::io::Result<Self> {
        let threads = threads.max(1);
        let (jobs, waiting) = mpsc::sync_channel::<Job>(threads);
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..threads {
            let waiting = Arc::clone(&waiting);
            spawn_deep(name, move || {
                loop {
                    // Held while waiting, not while working.
                    let job = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(job) = job else { return };
                    // Who waits for the job notices that its answer was dropped.
                    let _ = std::panic::catch_unwind(AssertUnwindSafe(job));
                }
            })?;
        }
        Ok(Self { jobs })
    }

    /// Hands a job over. Blocks while as many jobs wait as there are threads, so callers bound what they hand over.
    pub fn run(&self, job: impl FnOnce() + Send + 'static) {
        // The threads live as long as `self` does.
        let _ = self.jobs.send(Box::new(job));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pins down that a job that panics takes no thread with it, and that nested work stays where it is.
    #[test]
    fn threads_outlive_panics() {
        let threads = DeepThreads::start("test", 1).expect("threads can be started");
        threads.run(|| panic!("on purpose"));
        let (answer, answered) = mpsc::channel();
        threads.run(move || {
            let outer = std::thread::current().id();
            let inner = on_deep_stack(|| std::thread::current().id());
            let panicked = on_deep_stack(|| panic!("on purpose"));
            let _ = answer.send((inner == Ok(outer), panicked));
        });
        assert_eq!(answered.recv(), Ok((true, Err("panicked"))));
        let here = std::thread::current().id();
        assert_ne!(on_deep_stack(|| std::thread::current().id()), Ok(here));
    }
}
