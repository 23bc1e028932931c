//! An account with one Stark key (SRC-6): whoever signs with that key owns it.
//!
//! It accepts transactions of version 1 and up, so that `__execute__` is only ever reached through
//! `__validate__`, and the versions that wallets use to estimate fees.

#[starknet::interface]
trait IAccount<TState> {
    fn __validate__(ref self: TState, calls: Array<starknet::account::Call>) -> felt252;
    fn __execute__(
        ref self: TState, calls: Array<starknet::account::Call>,
    ) -> Array<Span<felt252>>;
    fn __validate_declare__(self: @TState, class_hash: felt252) -> felt252;
    fn __validate_deploy__(
        self: @TState, class_hash: felt252, contract_address_salt: felt252, public_key: felt252,
    ) -> felt252;
    fn is_valid_signature(self: @TState, hash: felt252, signature: Array<felt252>) -> felt252;
    fn supports_interface(self: @TState, interface_id: felt252) -> bool;
    fn get_public_key(self: @TState) -> felt252;
}

#[starknet::contract(account)]
mod Account {
    use core::ecdsa::check_ecdsa_signature;
    use core::num::traits::Zero;
    use starknet::account::Call;
    use starknet::storage::{StoragePointerReadAccess, StoragePointerWriteAccess};
    use starknet::syscalls::call_contract_syscall;
    use starknet::{VALIDATED, SyscallResultTrait, get_caller_address, get_tx_info};

    /// SRC-5: identifiers of the interfaces that this contract implements.
    const ISRC5_ID: felt252 = 0x3f918d17e5ee77373b56385708f855659a07f75997f365cf87748628532a055;
    const ISRC6_ID: felt252 = 0x2ceccef7f994940b3962a6c67e0ba4fcd37df7d131417c604f91e03caecc1cd;

    /// A fee estimate is the same transaction with this added to its version.
    const QUERY_VERSION_OFFSET: u256 = 0x100000000000000000000000000000000;

    #[storage]
    struct Storage {
        Account_public_key: felt252,
    }

    #[constructor]
    fn constructor(ref self: ContractState, public_key: felt252) {
        self.Account_public_key.write(public_key);
    }

    #[abi(embed_v0)]
    impl AccountImpl of super::IAccount<ContractState> {
        fn __validate__(ref self: ContractState, calls: Array<Call>) -> felt252 {
            self.validate_transaction()
        }

        fn __execute__(ref self: ContractState, calls: Array<Call>) -> Array<Span<felt252>> {
            assert(get_caller_address().is_zero(), 'Account: not the protocol');
            let version: u256 = get_tx_info().unbox().version.into();
            let is_query = version >= QUERY_VERSION_OFFSET;
            let version = if is_query {
                version - QUERY_VERSION_OFFSET
            } else {
                version
            };
            assert(version >= 1, 'Account: transaction version');

            let mut results = array![];
            for call in calls {
                let Call { to, selector, calldata } = call;
                results.append(call_contract_syscall(to, selector, calldata).unwrap_syscall());
            };
            results
        }

        fn __validate_declare__(self: @ContractState, class_hash: felt252) -> felt252 {
            self.validate_transaction()
        }

        fn __validate_deploy__(
            self: @ContractState,
            class_hash: felt252,
            contract_address_salt: felt252,
            public_key: felt252,
        ) -> felt252 {
            self.validate_transaction()
        }

        fn is_valid_signature(
            self: @ContractState, hash: felt252, signature: Array<felt252>,
        ) -> felt252 {
            if self.signed_by_owner(hash, signature.span()) {
                VALIDATED
            } else {
                0
            }
        }

        fn supports_interface(self: @ContractState, interface_id: felt252) -> bool {
            interface_id == ISRC5_ID || interface_id == ISRC6_ID
        }

        fn get_public_key(self: @ContractState) -> felt252 {
            self.Account_public_key.read()
        }
    }

    #[generate_trait]
    impl Ownership of OwnershipTrait {
        /// Panics unless the owner signed the hash of the transaction that runs.
        fn validate_transaction(self: @ContractState) -> felt252 {
            let transaction = get_tx_info().unbox();
            assert(
                self.signed_by_owner(transaction.transaction_hash, transaction.signature),
                'Account: invalid signature',
            );
            VALIDATED
        }

        fn signed_by_owner(
            self: @ContractState, hash: felt252, signature: Span<felt252>,
        ) -> bool {
            if signature.len() != 2 {
                return false;
            }
            check_ecdsa_signature(
                hash, self.Account_public_key.read(), *signature.at(0), *signature.at(1),
            )
        }
    }
}
