//! A small circuit that has gates of every kind: a chain of Blake2s hashes.

use circuit_common::N_RESERVED;
use circuit_common::preprocessed::PreprocessedCircuit;
use circuits::blake::blake;
use circuits::context::Context;
use circuits::eval;
use circuits::ivalue::qm31_from_u32s;
use circuits::ops::guess;
use stwo::core::fields::qm31::QM31;

/// The circuit, and values of its variables that start from `seed`.
pub fn hash_chain(seed: u32, n_hashes: usize) -> (PreprocessedCircuit, Vec<QM31>) {
    let mut context = Context::<QM31>::new(N_RESERVED);
    let inputs: Vec<_> = (0..4_u32)
        .map(|i| guess(&mut context, qm31_from_u32s(seed + 4 * i, seed + 4 * i + 1, 3 + i, 7 * i)))
        .collect();
    let mut hash = blake(&mut context, &inputs, 64);
    for _ in 1..n_hashes {
        let sum = eval!(&mut context, (hash.0) + (hash.1));
        let product = eval!(&mut context, (hash.0) * (hash.1));
        hash = blake(&mut context, &[hash.0, hash.1, sum, product], 64);
    }
    context.set_outputs(&[hash.0, hash.1]);
    let mut context = context.finalize(false);
    let circuit = PreprocessedCircuit::preprocess_circuit(&mut context);
    (circuit, context.values().to_vec())
}
