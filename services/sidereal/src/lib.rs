//! Every service in one process, and the operator's commands.
