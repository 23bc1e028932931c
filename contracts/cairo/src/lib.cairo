pub mod account;
pub mod counter;
pub mod erc20;
pub mod factorial;
pub mod fibonacci;
pub mod probe;
pub mod udc;
