//! A contract with state, an event and a failure: the smallest one that shows all three.

#[starknet::interface]
trait ICounter<TState> {
    fn increment(ref self: TState);
    fn increment_by(ref self: TState, amount: u128);
    /// Panics with 'counter: below zero' when the counter is smaller than `amount`.
    fn decrement_by(ref self: TState, amount: u128);
    fn get(self: @TState) -> u128;
}

#[starknet::contract]
mod Counter {
    use starknet::storage::{StoragePointerReadAccess, StoragePointerWriteAccess};
    use starknet::{ContractAddress, get_caller_address};

    #[storage]
    struct Storage {
        value: u128,
    }

    #[event]
    #[derive(Drop, starknet::Event)]
    enum Event {
        Changed: Changed,
    }

    #[derive(Drop, starknet::Event)]
    struct Changed {
        #[key]
        by: ContractAddress,
        value: u128,
    }

    #[constructor]
    fn constructor(ref self: ContractState, initial: u128) {
        self.value.write(initial);
    }

    #[abi(embed_v0)]
    impl CounterImpl of super::ICounter<ContractState> {
        fn increment(ref self: ContractState) {
            self.change_to(self.value.read() + 1);
        }

        fn increment_by(ref self: ContractState, amount: u128) {
            self.change_to(self.value.read() + amount);
        }

        fn decrement_by(ref self: ContractState, amount: u128) {
            let value = self.value.read();
            assert(value >= amount, 'counter: below zero');
            self.change_to(value - amount);
        }

        fn get(self: @ContractState) -> u128 {
            self.value.read()
        }
    }

    #[generate_trait]
    impl Change of ChangeTrait {
        fn change_to(ref self: ContractState, value: u128) {
            self.value.write(value);
            self.emit(Changed { by: get_caller_address(), value });
        }
    }
}
