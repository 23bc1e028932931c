//! What gives way to what on a busy machine.

/// Lets this thread, and those that it starts later, give way to others by so many steps of `nice`. A process cannot
/// take this back without privileges. Where the system refuses, the thread goes on as it is.
pub fn lower_priority(by: i32) {
    if let Err(error) = rustix::process::nice(by) {
        tracing::warn!(%error, "the priority of a thread cannot be lowered");
    }
}
