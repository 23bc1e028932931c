//! Sierra to CASM, for a gateway that receives Sierra from anybody.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use cairo_lang_starknet_classes::allowed_libfuncs::ListSelector;
use cairo_lang_starknet_classes::casm_contract_class::CasmContractClass;
use cairo_lang_starknet_classes::contract_class::ContractClass as CompilerClass;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use starknet_api::core::{ClassHash, CompiledClassHash};
use starknet_api::rpc_transaction::EntryPointByType;
use starknet_api::state::SierraContractClass;
use starknet_types_core::felt::Felt;

use super::{ClassError, MAX_BYTECODE_LENGTH, compiled_class_hash};

/// Bounds of a class that is to be compiled.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct CompilationLimits {
    /// Bytes of the Sierra class as JSON.
    pub sierra_json_bytes: usize,
    /// Felts of the Sierra program.
    pub sierra_felts: usize,
    /// Felts of the CASM's bytecode.
    pub bytecode_felts: usize,
}

impl Default for CompilationLimits {
    fn default() -> Self {
        Self {
            sierra_json_bytes: 4_089_446,
            sierra_felts: MAX_BYTECODE_LENGTH,
            bytecode_felts: MAX_BYTECODE_LENGTH,
        }
    }
}

/// What compiling a Sierra class gives.
#[derive(Clone, Debug)]
pub struct CompiledSierra {
    /// The class hash of the Sierra.
    pub class_hash: ClassHash,
    /// The compiled class hash of the CASM.
    pub compiled_class_hash: CompiledClassHash,
    /// The Sierra class, parsed.
    pub sierra: SierraContractClass,
    /// The CASM.
    pub casm: CasmContractClass,
}

/// Reads a Sierra class from JSON: the RPC form (the ABI is a string), or the compiler's form (the ABI is
/// a list, or missing). Starknet's tools hash the compiler's ABI as Python's `json.dumps` writes it.
pub fn parse_sierra(json: &[u8]) -> Result<SierraContractClass, ClassError> {
    #[derive(Deserialize)]
    struct Form {
        sierra_program: Vec<Felt>,
        contract_class_version: String,
        entry_points_by_type: EntryPointByType,
        abi: Option<Abi>,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Abi {
        Text(String),
        // The fields' order matters for the hash, and this type keeps the compiler's.
        List(cairo_lang_starknet_classes::abi::Contract),
    }
    let form: Form = serde_json::from_slice(json).map_err(ClassError::ParseSierra)?;
    let abi = match form.abi {
        None => String::new(),
        Some(Abi::Text(abi)) => abi,
        Some(Abi::List(abi)) => python_json(&abi).map_err(ClassError::ParseSierra)?,
    };
    Ok(SierraContractClass {
        sierra_program: form.sierra_program,
        contract_class_version: form.contract_class_version,
        entry_points_by_type: form.entry_points_by_type,
        abi,
    })
}

/// Compiles a Sierra class, given as JSON, to CASM. Panics of the compiler become errors.
pub fn compile_sierra(
    json: &[u8],
    limits: &CompilationLimits,
) -> Result<CompiledSierra, ClassError> {
    within(json.len(), limits.sierra_json_bytes, "bytes of JSON")?;
    let sierra = parse_sierra(json)?;
    within(sierra.sierra_program.len(), limits.sierra_felts, "felts of Sierra")?;
    let casm = catch_unwind(AssertUnwindSafe(|| compile(&sierra, limits.bytecode_felts)))
        .map_err(|panic| ClassError::CompilerPanicked { message: panic_message(&*panic) })??;
    within(casm.bytecode.len(), limits.bytecode_felts, "felts of bytecode")?;
    Ok(CompiledSierra {
        class_hash: sierra.calculate_class_hash(),
        compiled_class_hash: compiled_class_hash(&casm)?,
        sierra,
        casm,
    })
}

fn compile(sierra: &SierraContractClass, limit: usize) -> Result<CasmContractClass, ClassError> {
    let refused = |message: String| ClassError::Compilation { message };
    let class = compiler_class(sierra)?;
    let program =
        class.extract_sierra_program(false).map_err(|error| refused(error.to_string()))?;
    program
        .validate_version_compatible(ListSelector::DefaultList)
        .map_err(|error| refused(error.to_string()))?;
    CasmContractClass::from_contract_class(class, program, false, limit)
        .map_err(|error| refused(error.to_string()))
}

/// The compiler's own form of a class. The ABI takes no part in compilation.
pub(super) fn compiler_class(sierra: &SierraContractClass) -> Result<CompilerClass, ClassError> {
    let entry_points = |points: &[starknet_api::state::EntryPoint]| -> Vec<Value> {
        points
            .iter()
            .map(
                |point| json!({ "selector": point.selector, "function_idx": point.function_idx.0 }),
            )
            .collect()
    };
    let by_type = &sierra.entry_points_by_type;
    serde_json::from_value(json!({
        "sierra_program": sierra.sierra_program,
        "sierra_program_debug_info": null,
        "contract_class_version": sierra.contract_class_version,
        "entry_points_by_type": {
            "EXTERNAL": entry_points(&by_type.external),
            "L1_HANDLER": entry_points(&by_type.l1handler),
            "CONSTRUCTOR": entry_points(&by_type.constructor),
        },
        "abi": null,
    }))
    .map_err(ClassError::ParseSierra)
}

fn within(length: usize, limit: usize, unit: &'static str) -> Result<(), ClassError> {
    if length <= limit {
        return Ok(());
    }
    Err(ClassError::TooLarge { length, limit, unit })
}

pub(super) fn panic_message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "no message".to_owned())
}

/// `value` as Python's `json.dumps` writes it: a space after each comma and each colon.
fn python_json(value: &impl Serialize) -> serde_json::Result<String> {
    struct Spaced;
    impl serde_json::ser::Formatter for Spaced {
        fn begin_array_value<W: ?Sized + io::Write>(
            &mut self,
            writer: &mut W,
            first: bool,
        ) -> io::Result<()> {
            if first { Ok(()) } else { writer.write_all(b", ") }
        }
        fn begin_object_key<W: ?Sized + io::Write>(
            &mut self,
            writer: &mut W,
            first: bool,
        ) -> io::Result<()> {
            if first { Ok(()) } else { writer.write_all(b", ") }
        }
        fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
            writer.write_all(b": ")
        }
    }
    let mut json = Vec::new();
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut json, Spaced))?;
    Ok(String::from_utf8_lossy(&json).into_owned())
}
