pub use super::iterator::IntoIterator;
