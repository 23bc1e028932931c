//! A load whose cost grows with its argument: the n-th Fibonacci number in the field.

#[starknet::interface]
trait IFibonacci<TState> {
    /// Computes the n-th number of 0, 1, 1, 2, 3, … modulo the field's prime, and stores it.
    fn fibonacci(ref self: TState, n: u32) -> felt252;
    fn last_result(self: @TState) -> felt252;
}

#[starknet::contract]
mod Fibonacci {
    use starknet::storage::{StoragePointerReadAccess, StoragePointerWriteAccess};

    #[storage]
    struct Storage {
        last_result: felt252,
    }

    #[abi(embed_v0)]
    impl FibonacciImpl of super::IFibonacci<ContractState> {
        fn fibonacci(ref self: ContractState, n: u32) -> felt252 {
            let mut current = 0;
            let mut next = 1;
            for _ in 0..n {
                let sum = current + next;
                current = next;
                next = sum;
            };
            self.last_result.write(current);
            current
        }

        fn last_result(self: @ContractState) -> felt252 {
            self.last_result.read()
        }
    }
}
