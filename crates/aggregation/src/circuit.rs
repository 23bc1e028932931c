//! The circuits: what each verifies, its shape, its parameters, its verification key.

use std::sync::LazyLock;

use cairo_air::verifier::INTERACTION_POW_BITS as CAIRO_INTERACTION_POW_BITS;
use cairo_program_runner_lib::PRIVACY_SIMPLE_BOOTLOADER_COMPILED_JSON;
use cairo_vm::types::program::Program;
use circuit_cairo_verifier::all_components::all_components;
use circuit_cairo_verifier::privacy::privacy_components;
use circuit_cairo_verifier::statement::MEMORY_VALUES_LIMBS;
use circuit_cairo_verifier::verify::{
    CairoVerifierConfig, build_cairo_verifier_circuit, get_preprocessed_root,
};
use circuit_common::N_RESERVED;
use circuit_common::preprocessed::PreprocessedCircuit;
use circuit_multiverifier::verify::{
    MultiverifierInput, SharedConfig, build_multiverifier_circuit,
};
use circuit_verifier::statement::{INTERACTION_POW_BITS, all_circuit_components};
use circuit_verifier::verify::{CircuitConfig, CircuitPublicData, build_verification_circuit};
use circuits::context::FinalizedContext;
use circuits::ivalue::{IValue, NoValue};
use circuits_stark_verifier::proof::{Proof, ProofConfig, empty_proof};
use serde::{Deserialize, Serialize};
use stwo::core::fields::m31::M31;
use stwo::core::fri::FriConfig;
use stwo::core::pcs::PcsConfig;
use stwo_cairo_common::preprocessed_columns::preprocessed_trace::PreProcessedTraceVariant;
use stwo_cairo_common::prover_types::felt::split_f252;

use crate::digest::Digest;
use crate::shape::{ComponentSizes, ShapeError};

/// Parameters of FRI and of the proof of work; their worth in bits is the conjectured one, pow bits plus one
/// log blow-up for each query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecurityParameters {
    /// Bits of proof of work before the queries are drawn; circuits take at most 30.
    pub pow_bits: u32,
    /// Binary logarithm of the inverse rate.
    pub log_blowup: u32,
    /// Number of queries.
    pub queries: usize,
}

impl SecurityParameters {
    /// Each FRI layer folds by 2^4.
    const LOG_FOLD: u32 = 4;

    /// Conjectured security in bits.
    pub fn security_bits(&self) -> u32 {
        let queries = u32::try_from(self.queries).unwrap_or(u32::MAX);
        self.pow_bits.saturating_add(self.log_blowup.saturating_mul(queries))
    }

    pub(crate) fn pcs_config(&self, log_rows: u32) -> PcsConfig {
        PcsConfig {
            pow_bits: self.pow_bits,
            fri_config: FriConfig::new(0, self.log_blowup, self.queries, Self::LOG_FOLD),
            lifting_log_size: Some(log_rows + self.log_blowup),
        }
    }
}

/// What a circuit verifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CircuitKind {
    /// One Cairo proof of the bootloader's run.
    Wrap,
    /// Two proofs of [`Self::Wrap`] or [`Self::Merge`].
    Merge,
    /// One proof of [`Self::Merge`].
    Shrink,
    /// One proof of [`Self::Shrink`].
    Compact,
    /// One proof of [`Self::Compact`]. It is proven over another hash, by another crate.
    Last,
}

/// The Cairo proofs that are wrapped: those of `SecurityParameters::STANDARD` of the block prover.
const CAIRO: SecurityParameters = SecurityParameters { pow_bits: 26, log_blowup: 1, queries: 70 };
const CAIRO_LOG_ROWS: u32 = 20;
const CAIRO_TRACE: PreProcessedTraceVariant = PreProcessedTraceVariant::CanonicalSmall;

impl CircuitKind {
    /// All that are proven here.
    pub const PROVEN: [Self; 4] = [Self::Wrap, Self::Merge, Self::Shrink, Self::Compact];

    /// A word for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wrap => "wrap",
            Self::Merge => "merge",
            Self::Shrink => "shrink",
            Self::Compact => "compact",
            Self::Last => "last",
        }
    }

    /// Sizes to which the circuit is padded. *Wrap* and *merge* share theirs: 5.3 million operations of QM31 in one,
    /// 2.5 million of Blake2s' G in the other.
    pub const fn sizes(self) -> ComponentSizes {
        match self {
            Self::Wrap | Self::Merge => ComponentSizes {
                eq: 19,
                qm31_ops: 23,
                triple_xor: 18,
                m31_to_u32: 19,
                blake_g_gate: 22,
            },
            Self::Shrink => ComponentSizes {
                eq: 15,
                qm31_ops: 21,
                triple_xor: 17,
                m31_to_u32: 18,
                blake_g_gate: 21,
            },
            Self::Compact => ComponentSizes {
                eq: 14,
                qm31_ops: 20,
                triple_xor: 16,
                m31_to_u32: 17,
                blake_g_gate: 20,
            },
            Self::Last => ComponentSizes {
                eq: 14,
                qm31_ops: 19,
                triple_xor: 16,
                m31_to_u32: 17,
                blake_g_gate: 19,
            },
        }
    }

    /// Parameters of the circuit's proof: the lower the rate, the fewer the queries, and the more memory the prover
    /// takes for each row.
    pub const fn parameters(self) -> SecurityParameters {
        match self {
            Self::Wrap | Self::Merge => {
                SecurityParameters { pow_bits: 26, log_blowup: 1, queries: 70 }
            }
            Self::Shrink => SecurityParameters { pow_bits: 26, log_blowup: 2, queries: 35 },
            Self::Compact | Self::Last => {
                SecurityParameters { pow_bits: 27, log_blowup: 3, queries: 23 }
            }
        }
    }

    /// Root of the commitment to the preprocessed columns, which say which gates the circuit has and how they are
    /// wired: the circuit's verification key. For [`Self::Last`] it only pins the circuit: its key is over another hash.
    pub const fn root(self) -> Digest {
        match self {
            Self::Wrap => Digest::of_words([
                1_097_827_376,
                429_453_999,
                1_912_459_181,
                494_105_800,
                1_743_880_990,
                1_447_734_587,
                1_088_499_232,
                1_383_993_781,
            ]),
            Self::Merge => Digest::of_words([
                2_128_318_134,
                801_394_151,
                943_151_927,
                600_453_043,
                729_192_273,
                1_374_225_844,
                2_046_187_176,
                442_251_953,
            ]),
            Self::Shrink => Digest::of_words([
                1_975_599_417,
                1_585_003_946,
                554_142_165,
                289_869_382,
                990_305_729,
                892_104_880,
                421_971_040,
                344_964_363,
            ]),
            Self::Compact => Digest::of_words([
                1_543_538_009,
                1_214_580_194,
                1_760_849_882,
                286_777_035,
                326_522_365,
                1_955_372_045,
                85_434_047,
                1_845_468_053,
            ]),
            Self::Last => Digest::of_words([
                2_037_448_865,
                787_362_355,
                1_606_914_043,
                173_248_724,
                1_574_614_513,
                1_226_897_197,
                728_429_330,
                1_625_527_703,
            ]),
        }
    }

    pub(crate) fn pcs_config(self) -> PcsConfig {
        self.parameters().pcs_config(self.sizes().log_rows())
    }

    /// How a proof of this circuit is laid out.
    pub(crate) fn proof_config(self) -> ProofConfig {
        ProofConfig::new(
            &all_circuit_components::<NoValue>(),
            self.sizes().preprocessed_columns().len(),
            &self.pcs_config(),
            INTERACTION_POW_BITS,
        )
    }

    /// The circuit without values, padded, with its preprocessed columns.
    pub fn preprocess(self) -> Result<PreprocessedCircuit, ShapeError> {
        let empty = |verified: Self| empty_proof(&verified.proof_config());
        let nothing = Digest::of_words([0; 8]);
        let mut context = match self {
            Self::Wrap => build_cairo_verifier_circuit(cairo_verifier_config()),
            Self::Merge => {
                let side = || merge_input(empty(Self::Merge), nothing, nothing);
                build_multiverifier_circuit(side(), side(), &shared_config())
            }
            Self::Shrink => verification_circuit(Self::Merge, empty(Self::Merge), nothing),
            Self::Compact => verification_circuit(Self::Shrink, empty(Self::Shrink), nothing),
            Self::Last => verification_circuit(Self::Compact, empty(Self::Compact), nothing),
        };
        self.sizes().pad(&mut context)?;
        Ok(PreprocessedCircuit::from_finalized_circuit(context.circuit()))
    }
}

/// What *wrap* knows of the proofs that it verifies: the bootloader, its components, their parameters.
pub(crate) fn cairo_verifier_config() -> &'static CairoVerifierConfig {
    static CONFIG: LazyLock<CairoVerifierConfig> = LazyLock::new(|| {
        let proven = privacy_components();
        let components = all_components::<NoValue>();
        let enabled_bits = components.keys().map(|name| proven.contains(name)).collect();
        let components = components.into_iter().filter(|(name, _)| proven.contains(name)).collect();
        let pcs_config = CAIRO.pcs_config(CAIRO_LOG_ROWS);
        CairoVerifierConfig {
            preprocessed_root: get_preprocessed_root(CAIRO_LOG_ROWS + CAIRO.log_blowup),
            proof_config: ProofConfig::new(
                &components,
                CAIRO_TRACE.n_columns(),
                &pcs_config,
                CAIRO_INTERACTION_POW_BITS,
            ),
            enabled_bits,
            program: bootloader().into(),
            n_outputs: 1,
            preprocessed_trace_variant: CAIRO_TRACE,
        }
    });
    &CONFIG
}

/// The bootloader's bytecode in limbs of nine bits.
fn bootloader() -> Vec<[M31; MEMORY_VALUES_LIMBS]> {
    // The file is part of a pinned crate; that it is the one whose runs are proven shows in the wrap circuit's root.
    let program = Program::from_bytes(PRIVACY_SIMPLE_BOOTLOADER_COMPILED_JSON, Some("main"))
        .expect("the embedded bootloader parses");
    program
        .iter_data()
        .map(|cell| {
            let felt = cell.get_int_ref().expect("a program that was not run holds no pointers");
            let mut words = [0; 8];
            for (word, bytes) in words.iter_mut().zip(felt.to_bytes_le().chunks_exact(4)) {
                *word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            }
            split_f252(words)
        })
        .collect()
}

/// What *merge* knows of the proofs that it verifies.
pub(crate) fn shared_config() -> SharedConfig {
    let kind = CircuitKind::Merge;
    SharedConfig {
        pcs_config: kind.pcs_config(),
        proof_config: kind.proof_config(),
        preprocessed_column_log_sizes: kind.sizes().preprocessed_columns(),
    }
}

pub(crate) fn merge_input<Value: IValue>(
    proof: Proof<Value>,
    root: Digest,
    output: Digest,
) -> MultiverifierInput<Value> {
    MultiverifierInput { proof, preprocessed_root: root.into(), output_values: output.to_qm31s() }
}

/// The circuit that verifies one proof of a circuit.
pub(crate) fn verification_circuit<Value: IValue>(
    verified: CircuitKind,
    proof: Proof<Value>,
    output: Digest,
) -> FinalizedContext<Value> {
    let config = CircuitConfig {
        config: verified.pcs_config(),
        n_outputs: N_RESERVED,
        preprocessed_column_log_sizes: verified.sizes().preprocessed_columns(),
        preprocessed_root: verified.root().into(),
    };
    let public = CircuitPublicData { output_values: output.to_qm31s().to_vec() };
    build_verification_circuit(config, proof, public).expect("the library's builder has no error")
}
