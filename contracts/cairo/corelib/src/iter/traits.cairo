pub mod iterator;
pub mod collect;
