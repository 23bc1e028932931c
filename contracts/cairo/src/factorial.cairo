//! A load whose cost grows with its argument: n! in the field.

#[starknet::interface]
trait IFactorial<TState> {
    /// Computes n! modulo the field's prime, and stores it.
    fn factorial(ref self: TState, n: u32) -> felt252;
    fn last_result(self: @TState) -> felt252;
}

#[starknet::contract]
mod Factorial {
    use starknet::storage::{StoragePointerReadAccess, StoragePointerWriteAccess};

    #[storage]
    struct Storage {
        last_result: felt252,
    }

    #[abi(embed_v0)]
    impl FactorialImpl of super::IFactorial<ContractState> {
        fn factorial(ref self: ContractState, n: u32) -> felt252 {
            let mut product: felt252 = 1;
            for factor in 0..n {
                product *= factor.into() + 1;
            };
            self.last_result.write(product);
            product
        }

        fn last_result(self: @ContractState) -> felt252 {
            self.last_result.read()
        }
    }
}
