//! An update on its way to L1 and back.

use alloy::consensus::Transaction as _;
use alloy::eips::eip7594::BlobTransactionSidecarVariant;
use alloy::primitives::{Address, B256, U256};
use alloy::sol_types::SolCall as _;
use c_kzg::{Blob, Bytes48, Cell, ethereum_kzg_settings};
use num_bigint::BigUint;
use sidereal_os_aggregator::{AggregatedOutput, blobs};
use sidereal_settlement::{
    BlobsError, Fees, RollupCore, SettledError, SettledUpdate, SidecarForm, Update,
    blob_transaction,
};
use sidereal_starknet_os::BlobCommitments;
use starknet_types_core::felt::Felt;

/// Blocks 8 and 9, with so many felts of data.
fn update(felts: u64) -> Update {
    let data: Vec<Felt> = (0..felts).map(|index| Felt::MAX - Felt::from(index * index)).collect();
    let output = AggregatedOutput {
        initial_root: Felt::from(1),
        final_root: Felt::from(2),
        previous_block_number: Felt::from(7),
        block_number: Felt::from(9),
        previous_block_hash: Felt::from(3),
        block_hash: Felt::from(4),
        os_program_hash: Felt::from(5),
        config_hash: Felt::from(6),
        blobs: BlobCommitments::of_data(&data).unwrap(),
        messages_to_l1: Vec::new(),
        messages_to_l2: Vec::new(),
        wrap_root: [1; 32],
        merge_root: [2; 32],
        tree_hash: [3; 32],
    };
    Update { output, data, proof: b"proof".into() }
}

/// Pins down that what was sent comes back from calldata, versioned hashes and blobs, and from no others.
#[test]
fn an_update_comes_back_from_l1() {
    let update = update(5_000);
    let prepared = update.prepare().unwrap();
    let hashes = prepared.blobs.versioned_hashes();
    assert_eq!(hashes.len(), 2);
    let settled = SettledUpdate::decode(&prepared.calldata, hashes).unwrap();
    assert_eq!(settled.output, update.output);
    assert_eq!(settled.proof, update.proof);
    assert_eq!(settled.openings.len(), 2);
    let published = blobs(&update.data).unwrap();
    let data = settled.data(&published).unwrap();
    assert_eq!(data[..update.data.len()], update.data);
    assert!(data[update.data.len()..].iter().all(|felt| *felt == Felt::ZERO));
    // These felts are no state diffs.
    assert!(matches!(settled.state_updates(&published), Err(SettledError::Data(_))));

    let turned: Vec<Blob> = published.iter().rev().cloned().collect();
    assert!(matches!(settled.data(&turned), Err(SettledError::BlobHash { blob: 0, .. })));
    let one = settled.data(&published[..1]);
    assert!(matches!(one, Err(SettledError::BlobCount { found: 1, expected: 2 })));
    let mut other = hashes.to_vec();
    other[1] = B256::repeat_byte(1);
    let error = SettledUpdate::decode(&prepared.calldata, &other);
    assert!(matches!(error, Err(SettledError::BlobHash { blob: 1, .. })));
    let error = SettledUpdate::decode(&prepared.calldata, &hashes[..1]);
    assert!(matches!(error, Err(SettledError::BlobCount { .. })));
    let cut = &prepared.calldata[..prepared.calldata.len() - 33];
    assert!(matches!(SettledUpdate::decode(cut, hashes), Err(SettledError::Call(_))));
    let mut call = RollupCore::updateStateCall::abi_decode(&prepared.calldata).unwrap();
    call.output[1] = U256::MAX;
    let error = SettledUpdate::decode(&call.abi_encode(), hashes);
    assert!(matches!(error, Err(SettledError::NoFelt { index: 1, .. })));
}

/// Pins down that data which the output does not commit to is found before it is sent.
#[test]
fn other_data_than_the_output_commits_to_is_refused() {
    let good = update(20);
    let mut other = good.clone();
    other.data[7] += Felt::ONE;
    assert!(matches!(other.prepare(), Err(BlobsError::Commitment { blob: 0 })));
    let mut other = good.clone();
    other.output.blobs.evaluations[0] += BigUint::from(1_u8);
    assert!(matches!(other.prepare(), Err(BlobsError::Evaluation { blob: 0 })));
    let mut other = good.clone();
    other.data.resize(4_097, Felt::ZERO);
    let error = other.prepare();
    assert!(matches!(error, Err(BlobsError::Count { found: 2, expected: 1 })));
    let mut empty = good;
    empty.data.clear();
    assert!(matches!(empty.prepare(), Err(BlobsError::Count { found: 0, expected: 1 })));
}

/// Pins down that both forms of the sidecar verify, blob by blob and cell by cell.
#[test]
fn sidecars_verify_in_both_forms() {
    // A polynomial below degree 64 has the same proof for all cells.
    let prepared = update(4_096).prepare().unwrap();
    let settings = ethereum_kzg_settings(0);
    let fees = Fees { max_fee_per_gas: 3, max_priority_fee_per_gas: 1, max_fee_per_blob_gas: 2 };
    let sidecar = prepared.blobs.sidecar(SidecarForm::Eip4844).unwrap();
    let BlobTransactionSidecarVariant::Eip4844(content) = &sidecar else { panic!("{sidecar:?}") };
    let blob = Blob::from_bytes(&content.blobs[0][..]).unwrap();
    let commitment = Bytes48::new(content.commitments[0].0);
    let proof = Bytes48::new(content.proofs[0].0);
    assert!(settings.verify_blob_kzg_proof(&blob, &commitment, &proof).unwrap());
    assert_eq!(content.versioned_hashes().collect::<Vec<_>>(), prepared.blobs.versioned_hashes());
    let transaction = blob_transaction(&prepared, sidecar.clone(), Address::ZERO, 1, 2, 3, fees);
    assert_eq!(transaction.tx.blob_versioned_hashes().unwrap(), prepared.blobs.versioned_hashes());
    assert_eq!(transaction.tx.input(), &prepared.calldata);

    let sidecar = prepared.blobs.sidecar(SidecarForm::Eip7594).unwrap();
    let BlobTransactionSidecarVariant::Eip7594(content) = &sidecar else { panic!("{sidecar:?}") };
    assert_eq!(content.cell_proofs.len(), 128);
    let cells: Vec<Cell> = settings.compute_cells(&blob).unwrap().to_vec();
    let proofs: Vec<Bytes48> =
        content.cell_proofs.iter().map(|proof| Bytes48::new(proof.0)).collect();
    let indices: Vec<u64> = (0..128).collect();
    let commitments = vec![commitment; 128];
    let verifies = |proofs: &[Bytes48]| {
        settings.verify_cell_kzg_proof_batch(&commitments, &indices, &cells, proofs).unwrap()
    };
    assert!(verifies(&proofs));
    let mut turned = proofs;
    turned.swap(0, 1);
    assert!(!verifies(&turned));
}

/// Pins down how a chain tells which form it wants.
#[test]
fn the_fork_is_told_by_the_probe() {
    let mut valid = [0; 32];
    valid[31] = 1;
    assert_eq!(SidecarForm::of_probe_answer(&valid), SidecarForm::Eip7594);
    assert_eq!(SidecarForm::of_probe_answer(&[]), SidecarForm::Eip4844);
}
