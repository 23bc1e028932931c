//! One entry point for each thing that a contract can ask of the system: every system call and every
//! builtin. The tests of StarknetOS drive it, so that each hint behind them runs on a real block.

use starknet::secp256_trait::Signature;
use starknet::{ClassHash, ContractAddress};

#[starknet::interface]
trait IProbe<TState> {
    fn storage_write(ref self: TState, key: felt252, value: felt252);
    fn storage_read(self: @TState, key: felt252) -> felt252;
    /// Writes `count` consecutive keys, and reads each back.
    fn storage_sweep(ref self: TState, first_key: felt252, count: u32) -> felt252;
    fn emit(ref self: TState, keys: Span<felt252>, data: Span<felt252>);
    fn send_message(ref self: TState, to_l1_address: felt252, payload: Span<felt252>);
    fn call(
        ref self: TState, to: ContractAddress, selector: felt252, calldata: Span<felt252>,
    ) -> Span<felt252>;
    /// Calls a contract whose failure is caught: returns 1 and the return data, or 0 and the panic.
    fn call_catching(
        ref self: TState, to: ContractAddress, selector: felt252, calldata: Span<felt252>,
    ) -> (felt252, Array<felt252>);
    fn library_call(
        ref self: TState, class_hash: ClassHash, selector: felt252, calldata: Span<felt252>,
    ) -> Span<felt252>;
    /// Changes storage, emits an event, sends a message, and then panics: nothing of it may remain.
    fn write_and_panic(ref self: TState, key: felt252, value: felt252);
    fn deploy(
        ref self: TState,
        class_hash: ClassHash,
        salt: felt252,
        calldata: Span<felt252>,
        from_zero: bool,
    ) -> ContractAddress;
    /// Deploys, and then panics: the contract must not be there.
    fn deploy_and_panic(
        ref self: TState, class_hash: ClassHash, salt: felt252, calldata: Span<felt252>,
    );
    /// Writes until the gas is used up. An iteration takes so much that some is left for the caller.
    fn burn_gas(ref self: TState, key: felt252);
    fn replace_class(ref self: TState, class_hash: ClassHash);
    fn class_hash_at(self: @TState, address: ContractAddress) -> ClassHash;
    fn block_hash(self: @TState, block_number: u64) -> felt252;
    /// Stores every field of the execution info under the keys 'info' and up; returns their number.
    fn record_execution_info(ref self: TState) -> felt252;
    fn keccak(self: @TState, block_count: u32) -> u256;
    fn sha256(self: @TState, word_count: u32) -> [u32; 8];
    fn pedersen(self: @TState, count: u32) -> felt252;
    fn poseidon(self: @TState, count: u32) -> felt252;
    fn secp256k1_public_key(
        self: @TState, message_hash: u256, signature: Signature,
    ) -> Option<(u256, u256)>;
    fn secp256r1_multiple(self: @TState, scalar: u256) -> (u256, u256);
    fn secp256k1_is_on_curve(self: @TState, x: u256, y: u256) -> bool;
    fn stark_curve_multiple(self: @TState, x: felt252, scalar: felt252) -> Option<felt252>;
    fn bitwise(self: @TState, left: u128, right: u128) -> (u128, u128, u128);
    fn divide(self: @TState, dividend: u256, divisor: u256) -> (u256, u256);
    /// Counts `count` insertions into a dictionary of `distinct` keys.
    fn dictionary(self: @TState, count: u32, distinct: u32) -> felt252;
    /// (left + right) · left modulo 2^255 − 19, by the modular builtins.
    fn modular(self: @TState, left: u256, right: u256) -> u256;
}

#[starknet::contract]
mod Probe {
    use core::circuit::{
        AddInputResultTrait, CircuitElement, CircuitInput, CircuitInputs, CircuitModulus,
        CircuitOutputsTrait, EvalCircuitTrait, circuit_add, circuit_mul, u384,
    };
    use core::dict::Felt252Dict;
    use core::ec::{EcPointTrait, EcStateTrait};
    use core::keccak::keccak_u256s_le_inputs;
    use core::poseidon::poseidon_hash_span;
    use core::sha256::compute_sha256_u32_array;
    use starknet::secp256_trait::{
        Secp256PointTrait, Secp256Trait, Signature, recover_public_key,
    };
    use starknet::secp256k1::Secp256k1Point;
    use starknet::secp256r1::Secp256r1Point;
    use starknet::storage::{StoragePointerReadAccess, StoragePointerWriteAccess};
    use starknet::storage_access::StorageAddress;
    use starknet::syscalls::{
        call_contract_syscall, deploy_syscall, emit_event_syscall, get_block_hash_syscall,
        get_class_hash_at_syscall, get_execution_info_v2_syscall, library_call_syscall,
        replace_class_syscall, send_message_to_l1_syscall, storage_read_syscall,
        storage_write_syscall,
    };
    use starknet::{ClassHash, ContractAddress, SyscallResultTrait};

    /// The only address domain that there is.
    const ADDRESS_DOMAIN: u32 = 0;

    #[storage]
    struct Storage {
        deposits: felt252,
    }

    /// What L1 sends: the sum is kept.
    #[l1_handler]
    fn handle_deposit(ref self: ContractState, from_address: felt252, amount: felt252) {
        assert(from_address != 0, 'probe: no L1 sender');
        self.deposits.write(self.deposits.read() + amount);
    }

    fn address_of(key: felt252) -> StorageAddress {
        let address: Option<StorageAddress> = key.try_into();
        address.expect('probe: not a storage key')
    }

    fn write(key: felt252, value: felt252) {
        storage_write_syscall(ADDRESS_DOMAIN, address_of(key), value).unwrap_syscall();
    }

    #[inline(never)]
    fn write_eight(key: felt252, value: felt252) {
        write(key, value);
        write(key + 1, value);
        write(key + 2, value);
        write(key + 3, value);
        write(key + 4, value);
        write(key + 5, value);
        write(key + 6, value);
        write(key + 7, value);
    }

    fn read(key: felt252) -> felt252 {
        storage_read_syscall(ADDRESS_DOMAIN, address_of(key)).unwrap_syscall()
    }

    #[abi(embed_v0)]
    impl ProbeImpl of super::IProbe<ContractState> {
        fn storage_write(ref self: ContractState, key: felt252, value: felt252) {
            write(key, value);
        }

        fn storage_read(self: @ContractState, key: felt252) -> felt252 {
            read(key)
        }

        fn storage_sweep(ref self: ContractState, first_key: felt252, count: u32) -> felt252 {
            let mut sum = 0;
            for index in 0..count {
                let key = first_key + index.into();
                write(key, key * 3 + 1);
                sum += read(key);
            };
            sum
        }

        fn emit(ref self: ContractState, keys: Span<felt252>, data: Span<felt252>) {
            emit_event_syscall(keys, data).unwrap_syscall();
        }

        fn send_message(ref self: ContractState, to_l1_address: felt252, payload: Span<felt252>) {
            send_message_to_l1_syscall(to_l1_address, payload).unwrap_syscall();
        }

        fn call(
            ref self: ContractState,
            to: ContractAddress,
            selector: felt252,
            calldata: Span<felt252>,
        ) -> Span<felt252> {
            call_contract_syscall(to, selector, calldata).unwrap_syscall()
        }

        fn call_catching(
            ref self: ContractState,
            to: ContractAddress,
            selector: felt252,
            calldata: Span<felt252>,
        ) -> (felt252, Array<felt252>) {
            match call_contract_syscall(to, selector, calldata) {
                Result::Ok(return_data) => (1, return_data.into()),
                Result::Err(panic_data) => (0, panic_data),
            }
        }

        fn library_call(
            ref self: ContractState,
            class_hash: ClassHash,
            selector: felt252,
            calldata: Span<felt252>,
        ) -> Span<felt252> {
            library_call_syscall(class_hash, selector, calldata).unwrap_syscall()
        }

        fn write_and_panic(ref self: ContractState, key: felt252, value: felt252) {
            write(key, value);
            emit_event_syscall([key].span(), [value].span()).unwrap_syscall();
            send_message_to_l1_syscall(key, [value].span()).unwrap_syscall();
            core::panic_with_felt252('probe: as asked');
        }

        fn deploy(
            ref self: ContractState,
            class_hash: ClassHash,
            salt: felt252,
            calldata: Span<felt252>,
            from_zero: bool,
        ) -> ContractAddress {
            let (address, _) = deploy_syscall(class_hash, salt, calldata, from_zero)
                .unwrap_syscall();
            address
        }

        fn deploy_and_panic(
            ref self: ContractState, class_hash: ClassHash, salt: felt252, calldata: Span<felt252>,
        ) {
            deploy_syscall(class_hash, salt, calldata, true).unwrap_syscall();
            core::panic_with_felt252('probe: as asked');
        }

        fn burn_gas(ref self: ContractState, key: felt252) {
            let mut value = 1;
            loop {
                // No loop is in here: the gas of all of it is taken at once.
                write_eight(key, value);
                write_eight(key + 8, value);
                write_eight(key + 16, value);
                write_eight(key + 24, value);
                write_eight(key + 32, value);
                write_eight(key + 40, value);
                write_eight(key + 48, value);
                write_eight(key + 56, value);
                value += 1;
            }
        }

        fn replace_class(ref self: ContractState, class_hash: ClassHash) {
            replace_class_syscall(class_hash).unwrap_syscall();
        }

        fn class_hash_at(self: @ContractState, address: ContractAddress) -> ClassHash {
            get_class_hash_at_syscall(address).unwrap_syscall()
        }

        fn block_hash(self: @ContractState, block_number: u64) -> felt252 {
            get_block_hash_syscall(block_number).unwrap_syscall()
        }

        fn record_execution_info(ref self: ContractState) -> felt252 {
            let info = get_execution_info_v2_syscall().unwrap_syscall().unbox();
            let block = info.block_info.unbox();
            let transaction = info.tx_info.unbox();
            let mut fields: Array<felt252> = array![
                block.block_number.into(), block.block_timestamp.into(),
                block.sequencer_address.into(), transaction.version,
                transaction.account_contract_address.into(), transaction.max_fee.into(),
                transaction.transaction_hash, transaction.chain_id, transaction.nonce,
                transaction.tip.into(), transaction.nonce_data_availability_mode.into(),
                transaction.fee_data_availability_mode.into(), info.caller_address.into(),
                info.contract_address.into(), info.entry_point_selector,
            ];
            for bounds in transaction.resource_bounds {
                fields.append(*bounds.resource);
                fields.append((*bounds.max_amount).into());
                fields.append((*bounds.max_price_per_unit).into());
            };
            fields.append_span(transaction.signature);
            fields.append_span(transaction.paymaster_data);
            fields.append_span(transaction.account_deployment_data);
            let mut key = 'info';
            for field in fields.span() {
                write(key, *field);
                key += 1;
            };
            fields.len().into()
        }

        fn keccak(self: @ContractState, block_count: u32) -> u256 {
            let mut input = array![];
            // 17 words of 64 bits are one block: 4.25 numbers of 256 bits.
            for index in 0..(block_count * 17 / 4) {
                input.append(u256 { low: index.into(), high: 7 });
            };
            keccak_u256s_le_inputs(input.span())
        }

        fn sha256(self: @ContractState, word_count: u32) -> [u32; 8] {
            let mut words = array![];
            for index in 0..word_count {
                words.append(index);
            };
            compute_sha256_u32_array(words, 0x616263, 3)
        }

        fn pedersen(self: @ContractState, count: u32) -> felt252 {
            let mut hash = 0;
            for index in 0..count {
                hash = core::pedersen::pedersen(hash, index.into());
            };
            hash
        }

        fn poseidon(self: @ContractState, count: u32) -> felt252 {
            let mut felts = array![];
            for index in 0..count {
                felts.append(index.into());
            };
            poseidon_hash_span(felts.span())
        }

        fn secp256k1_public_key(
            self: @ContractState, message_hash: u256, signature: Signature,
        ) -> Option<(u256, u256)> {
            let point = recover_public_key::<Secp256k1Point>(message_hash, signature)?;
            Option::Some(point.get_coordinates().unwrap_syscall())
        }

        fn secp256r1_multiple(self: @ContractState, scalar: u256) -> (u256, u256) {
            let generator = Secp256Trait::<Secp256r1Point>::get_generator_point();
            let doubled = generator.add(generator).unwrap_syscall();
            doubled.mul(scalar).unwrap_syscall().get_coordinates().unwrap_syscall()
        }

        fn secp256k1_is_on_curve(self: @ContractState, x: u256, y: u256) -> bool {
            Secp256Trait::<Secp256k1Point>::secp256_ec_new_syscall(x, y).unwrap_syscall().is_some()
        }

        fn stark_curve_multiple(
            self: @ContractState, x: felt252, scalar: felt252,
        ) -> Option<felt252> {
            let point = EcPointTrait::new_nz_from_x(x)?;
            let mut state = EcStateTrait::init();
            state.add_mul(scalar, point);
            let multiple = state.finalize_nz()?;
            let (multiple_x, _) = multiple.coordinates();
            Option::Some(multiple_x)
        }

        fn bitwise(self: @ContractState, left: u128, right: u128) -> (u128, u128, u128) {
            (left & right, left | right, left ^ right)
        }

        fn divide(self: @ContractState, dividend: u256, divisor: u256) -> (u256, u256) {
            (dividend / divisor, dividend % divisor)
        }

        fn dictionary(self: @ContractState, count: u32, distinct: u32) -> felt252 {
            let mut counts: Felt252Dict<felt252> = Default::default();
            for index in 0..count {
                let key: felt252 = (index % distinct).into();
                counts.insert(key, counts.get(key) + 1);
            };
            let mut total = 0;
            for key in 0..distinct {
                total += counts.get(key.into());
            };
            total
        }

        fn modular(self: @ContractState, left: u256, right: u256) -> u256 {
            let first = CircuitElement::<CircuitInput<0>> {};
            let second = CircuitElement::<CircuitInput<1>> {};
            let sum = circuit_add(first, second);
            let product = circuit_mul(sum, first);
            let modulus = TryInto::<
                _, CircuitModulus,
            >::try_into(
                [0xffffffffffffffffffffffed, 0xffffffffffffffffffffffff, 0x7fffffffffffffff, 0],
            )
                .unwrap();
            let left: u384 = left.into();
            let right: u384 = right.into();
            let outputs = (product,)
                .new_inputs()
                .next(left)
                .next(right)
                .done()
                .eval(modulus)
                .unwrap();
            outputs.get_output(product).try_into().unwrap()
        }
    }
}
