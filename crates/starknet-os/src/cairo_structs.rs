//! Offsets of the fields of the OS's Cairo structs that hints read or write.
//!
//! They are constants, not look-ups, because hints need them at every step; a test compares each one with the
//! identifiers of the program.

/// Declares a module a struct, with a constant a field and `SIZE`, and collects all of them for the test.
macro_rules! cairo_structs {
    ($($module:ident = $path:literal, $size:literal { $($field:ident: $name:literal = $offset:literal),+ $(,)? })+) => {
        $(
            #[doc = concat!("`", $path, "`")]
            #[allow(dead_code)]
            pub(crate) mod $module {
                $(pub(crate) const $field: usize = $offset;)+
                pub(crate) const SIZE: usize = $size;
            }
        )+

        /// Path, size and fields of each struct above.
        #[cfg(test)]
        const ALL: &[(&str, usize, &[(&str, usize)])] = &[
            $(($path, $size, &[$(($name, $offset)),+])),+
        ];
    };
}

cairo_structs! {
    dict_access = "starkware.cairo.common.dict_access.DictAccess", 3 {
        KEY: "key" = 0, PREV_VALUE: "prev_value" = 1, NEW_VALUE: "new_value" = 2,
    }
    hash_builtin = "starkware.cairo.common.cairo_builtins.HashBuiltin", 3 {
        X: "x" = 0, Y: "y" = 1, RESULT: "result" = 2,
    }
    sponge_hash_builtin = "starkware.cairo.common.sponge_as_hash.SpongeHashBuiltin", 6 {
        X: "x" = 0, Y: "y" = 1, RESULT: "result" = 3,
    }
    node_edge = "starkware.cairo.common.patricia_utils.NodeEdge", 3 {
        LENGTH: "length" = 0, PATH: "path" = 1, BOTTOM: "bottom" = 2,
    }
    big_int3 = "starkware.cairo.common.cairo_secp.bigint3.BigInt3", 3 {
        D0: "d0" = 0, D1: "d1" = 1, D2: "d2" = 2,
    }
    sha256_process_block = "starkware.cairo.common.sha256_state.Sha256ProcessBlock", 32 {
        INPUT: "input" = 0, IN_STATE: "in_state" = 16, OUT_STATE: "out_state" = 24,
    }
    state_entry = "starkware.starknet.core.os.state.commitment.StateEntry", 3 {
        CLASS_HASH: "class_hash" = 0, STORAGE_PTR: "storage_ptr" = 1, NONCE: "nonce" = 2,
    }
    os_state_update = "starkware.starknet.core.os.state.state.OsStateUpdate", 4 {
        CONTRACT_STATE_CHANGES_END: "contract_state_changes_end" = 1,
    }
    os_carried_outputs = "starkware.starknet.core.os.output.OsCarriedOutputs", 2 {
        MESSAGES_TO_L1: "messages_to_l1" = 0, MESSAGES_TO_L2: "messages_to_l2" = 1,
    }
    builtin_params = "starkware.starknet.core.os.builtins.BuiltinParams", 2 {
        BUILTIN_ENCODINGS: "builtin_encodings" = 0,
    }
    builtin_pointers = "starkware.starknet.core.os.builtins.BuiltinPointers", 12 {
        SELECTABLE: "selectable" = 0,
    }
    compiled_class = "starkware.starknet.core.os.contract_class.compiled_class.CompiledClass", 9 {
        COMPILED_CLASS_VERSION: "compiled_class_version" = 0,
        N_EXTERNAL_FUNCTIONS: "n_external_functions" = 1, EXTERNAL_FUNCTIONS: "external_functions" = 2,
        N_L1_HANDLERS: "n_l1_handlers" = 3, L1_HANDLERS: "l1_handlers" = 4,
        N_CONSTRUCTORS: "n_constructors" = 5, CONSTRUCTORS: "constructors" = 6,
        BYTECODE_LENGTH: "bytecode_length" = 7, BYTECODE_PTR: "bytecode_ptr" = 8,
    }
    compiled_class_fact = "starkware.starknet.core.os.contract_class.compiled_class.CompiledClassFact", 2 {
        HASH: "hash" = 0, COMPILED_CLASS: "compiled_class" = 1,
    }
    compiled_class_entry_point = "starkware.starknet.core.os.contract_class.compiled_class.CompiledClassEntryPoint", 4 {
        SELECTOR: "selector" = 0, OFFSET: "offset" = 1, N_BUILTINS: "n_builtins" = 2,
        BUILTIN_LIST: "builtin_list" = 3,
    }
    execution_context = "starkware.starknet.core.os.execution.execute_entry_point.ExecutionContext", 6 {
        CLASS_HASH: "class_hash" = 1, EXECUTION_INFO: "execution_info" = 4,
    }
    entry_point_return_values = "starkware.starknet.core.os.execution.execute_entry_point.EntryPointReturnValues", 5 {
        GAS_BUILTIN: "gas_builtin" = 0, SYSCALL_PTR: "syscall_ptr" = 1,
    }
    execution_info = "starkware.starknet.common.new_syscalls.ExecutionInfo", 5 {
        TX_INFO: "tx_info" = 1,
    }
    tx_info = "starkware.starknet.common.new_syscalls.TxInfo", 17 {
        VERSION: "version" = 0, ACCOUNT_CONTRACT_ADDRESS: "account_contract_address" = 1,
        TIP: "tip" = 10,
    }
    storage_read_request = "starkware.starknet.common.new_syscalls.StorageReadRequest", 2 {
        KEY: "key" = 1,
    }
    storage_write_request = "starkware.starknet.common.new_syscalls.StorageWriteRequest", 3 {
        KEY: "key" = 1, VALUE: "value" = 2,
    }
    call_contract_response = "starkware.starknet.common.new_syscalls.CallContractResponse", 2 {
        RETDATA_START: "retdata_start" = 0, RETDATA_END: "retdata_end" = 1,
    }
    deploy_response = "starkware.starknet.common.new_syscalls.DeployResponse", 3 {
        CONSTRUCTOR_RETDATA_START: "constructor_retdata_start" = 1,
        CONSTRUCTOR_RETDATA_END: "constructor_retdata_end" = 2,
    }
    secp_new_response = "starkware.starknet.common.new_syscalls.SecpNewResponse", 2 {
        EC_POINT: "ec_point" = 1,
    }
}

/// Constants of the OS that hints use.
pub(crate) mod constants {
    use starknet_types_core::felt::Felt;

    /// Contract that maps block numbers to block hashes.
    pub(crate) const BLOCK_HASH_CONTRACT_ADDRESS: Felt = Felt::ONE;
    /// Contract that maps storage keys and contract addresses to their aliases.
    pub(crate) const ALIAS_CONTRACT_ADDRESS: Felt = Felt::TWO;
    /// Cell of the alias contract that counts the aliases.
    pub(crate) const ALIAS_COUNTER_STORAGE_KEY: Felt = Felt::ZERO;
    /// Keys below this are their own alias; it is also the first alias.
    pub(crate) const MIN_VALUE_FOR_ALIAS_ALLOC: u64 = 128;
    /// Contracts up to this address have no aliases.
    pub(crate) const MAX_NON_COMPRESSED_CONTRACT_ADDRESS: u64 = 15;
    /// Number of storage updates from which on it takes 64 bits instead of 8.
    pub(crate) const N_UPDATES_SMALL_PACKING_BOUND: u64 = 256;
    /// Field elements in a blob.
    pub const BLOB_LENGTH: usize = 4096;
    /// Gas that an entry point is charged before it starts.
    pub(crate) const ENTRY_POINT_INITIAL_BUDGET: u64 = 10_000;
    /// A block hash becomes readable so many blocks later.
    pub(crate) const STORED_BLOCK_HASH_BUFFER: u64 = 10;
    /// Buckets of the stateless compression, the one of repeated values included.
    pub(crate) const TOTAL_N_BUCKETS: u64 = 7;
    /// SHA-256 blocks that the OS checks at once.
    pub(crate) const SHA256_BATCH_SIZE: u64 = 7;
    /// Marks the version of the compiled class format.
    pub(crate) const COMPILED_CLASS_VERSION: &[u8] = b"COMPILED_CLASS_V1";
    /// What `__validate__` and its siblings must return.
    pub(crate) const VALIDATED: &[u8] = b"VALID";
    /// Version in the hash of the OS configuration.
    pub(crate) const STARKNET_OS_CONFIG_VERSION: &[u8] = b"StarknetOsConfig2";
}

#[cfg(test)]
mod tests {
    use starknet_types_core::felt::Felt;

    use super::{ALL, constants};
    use crate::program::program;

    /// The offsets above are those of the compiled program.
    #[test]
    fn offsets_match_the_program() {
        for (path, size, fields) in ALL {
            let identifier =
                program().cairo().get_identifier(path).unwrap_or_else(|| panic!("no {path}"));
            assert_eq!(identifier.size, Some(*size), "size of {path}");
            let members = identifier.members.as_ref().unwrap();
            for (name, offset) in *fields {
                assert_eq!(members[*name].offset, *offset, "{path}.{name}");
            }
        }
    }

    /// The constants above are those of the compiled program.
    #[test]
    fn constants_match_the_program() {
        let os = "starkware.starknet.core.os";
        let text = Felt::from_bytes_be_slice;
        for (name, value) in [
            (
                format!("{os}.constants.BLOCK_HASH_CONTRACT_ADDRESS"),
                constants::BLOCK_HASH_CONTRACT_ADDRESS,
            ),
            (format!("{os}.constants.ALIAS_CONTRACT_ADDRESS"), constants::ALIAS_CONTRACT_ADDRESS),
            (
                format!("{os}.constants.ENTRY_POINT_INITIAL_BUDGET"),
                constants::ENTRY_POINT_INITIAL_BUDGET.into(),
            ),
            (
                format!("{os}.constants.STORED_BLOCK_HASH_BUFFER"),
                constants::STORED_BLOCK_HASH_BUFFER.into(),
            ),
            (format!("{os}.constants.VALIDATED"), text(constants::VALIDATED)),
            (
                format!("{os}.state.aliases.ALIAS_COUNTER_STORAGE_KEY"),
                constants::ALIAS_COUNTER_STORAGE_KEY,
            ),
            (
                format!("{os}.state.aliases.MIN_VALUE_FOR_ALIAS_ALLOC"),
                constants::MIN_VALUE_FOR_ALIAS_ALLOC.into(),
            ),
            (
                format!("{os}.state.aliases.INITIAL_AVAILABLE_ALIAS"),
                constants::MIN_VALUE_FOR_ALIAS_ALLOC.into(),
            ),
            (
                format!("{os}.state.aliases.MAX_NON_COMPRESSED_CONTRACT_ADDRESS"),
                constants::MAX_NON_COMPRESSED_CONTRACT_ADDRESS.into(),
            ),
            (
                format!("{os}.state.output.N_UPDATES_SMALL_PACKING_BOUND"),
                constants::N_UPDATES_SMALL_PACKING_BOUND.into(),
            ),
            (
                format!("{os}.data_availability.commitment.BLOB_LENGTH"),
                constants::BLOB_LENGTH.into(),
            ),
            (
                format!("{os}.data_availability.compression.TOTAL_N_BUCKETS"),
                constants::TOTAL_N_BUCKETS.into(),
            ),
            (
                format!("{os}.contract_class.compiled_class.COMPILED_CLASS_VERSION"),
                text(constants::COMPILED_CLASS_VERSION),
            ),
            (
                "starkware.cairo.common.cairo_sha256.sha256_utils.BATCH_SIZE".to_owned(),
                constants::SHA256_BATCH_SIZE.into(),
            ),
            (
                format!("{os}.os_config.os_config.STARKNET_OS_CONFIG_VERSION"),
                text(constants::STARKNET_OS_CONFIG_VERSION),
            ),
        ] {
            let identifier =
                program().cairo().get_identifier(&name).unwrap_or_else(|| panic!("no {name}"));
            assert_eq!(identifier.value, Some(value), "{name}");
        }
    }
}
