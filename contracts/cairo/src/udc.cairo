//! The universal deployer: deploys any declared class for any caller.
//!
//! `deployContract` is the entry point of the deployer that Starknet has had since its beginnings,
//! `deploy_contract` that of its successor; wallets use either. A *unique* address depends on the
//! caller, any other only on class, salt and calldata.

use starknet::{ClassHash, ContractAddress};

#[starknet::interface]
trait IUniversalDeployer<TState> {
    fn deployContract(
        ref self: TState,
        classHash: ClassHash,
        salt: felt252,
        unique: bool,
        calldata: Span<felt252>,
    ) -> ContractAddress;
    fn deploy_contract(
        ref self: TState,
        class_hash: ClassHash,
        salt: felt252,
        not_from_zero: bool,
        calldata: Span<felt252>,
    ) -> ContractAddress;
}

#[starknet::contract]
mod UniversalDeployer {
    use core::pedersen::pedersen;
    use starknet::syscalls::deploy_syscall;
    use starknet::{ClassHash, ContractAddress, SyscallResultTrait, get_caller_address};

    #[storage]
    struct Storage {}

    #[event]
    #[derive(Drop, starknet::Event)]
    enum Event {
        ContractDeployed: ContractDeployed,
    }

    /// The order of the fields is what clients decode.
    #[derive(Drop, starknet::Event)]
    struct ContractDeployed {
        address: ContractAddress,
        deployer: ContractAddress,
        unique: bool,
        classHash: ClassHash,
        calldata: Span<felt252>,
        salt: felt252,
    }

    #[abi(embed_v0)]
    impl UniversalDeployerImpl of super::IUniversalDeployer<ContractState> {
        fn deployContract(
            ref self: ContractState,
            classHash: ClassHash,
            salt: felt252,
            unique: bool,
            calldata: Span<felt252>,
        ) -> ContractAddress {
            let deployer = get_caller_address();
            let address_salt = if unique {
                pedersen(deployer.into(), salt)
            } else {
                salt
            };
            let (address, _) = deploy_syscall(classHash, address_salt, calldata, !unique)
                .unwrap_syscall();
            self.emit(ContractDeployed { address, deployer, unique, classHash, calldata, salt });
            address
        }

        fn deploy_contract(
            ref self: ContractState,
            class_hash: ClassHash,
            salt: felt252,
            not_from_zero: bool,
            calldata: Span<felt252>,
        ) -> ContractAddress {
            self.deployContract(class_hash, salt, not_from_zero, calldata)
        }
    }
}
