//! A verifier's run, recorded: S-two's own verifier over a channel that keeps what it hashes.
//!
//! A stored proof shares Merkle nodes between queries, and a circuit wants one whole path for each query. What is
//! missing between the two are values that a verifier computes on its way: query positions, leaves, inner nodes.
//! Instead of computing them a second time, we let S-two's verifier run over a channel and a hasher that note them.
//! So nothing gets into a circuit that was not verified natively before.

use std::cell::RefCell;

use stwo::core::channel::{Blake2sM31Channel, Channel, MerkleChannel};
use stwo::core::fields::m31::BaseField;
use stwo::core::fields::qm31::SecureField;
use stwo::core::vcs::blake2_hash::Blake2sHash;
use stwo::core::vcs_lifted::blake2_merkle::{Blake2sM31MerkleChannel, Blake2sM31MerkleHasher};
use stwo::core::vcs_lifted::merkle_hasher::MerkleHasherLifted;

/// What the verifier hashed for a Merkle tree, in its order.
#[derive(Debug, Clone)]
pub(crate) enum Hashed {
    /// A leaf: its values.
    Leaf(Vec<BaseField>),
    /// An inner node: its children.
    Children(Blake2sHash, Blake2sHash),
}

/// What the verifier did after it had drawn its queries.
#[derive(Debug, Default)]
pub(crate) struct Recording {
    /// The words from which query positions are taken.
    pub(crate) query_words: Vec<u32>,
    /// Hashes of Merkle trees, in order.
    pub(crate) hashed: Vec<Hashed>,
}

thread_local! {
    // The verifier makes its channel and its hashers by `Default`, so there is no other way to hand them a place to
    // write to. It works on one thread, that of `record`.
    static RECORDING: RefCell<Option<Recording>> = const { RefCell::new(None) };
}

fn note(write: impl FnOnce(&mut Recording)) {
    RECORDING.with_borrow_mut(|recording| {
        if let Some(recording) = recording {
            write(recording);
        }
    });
}

/// Runs a verifier over [`RecordingMerkleChannel`] and returns what it said and what it did.
pub(crate) fn record<T>(verify: impl FnOnce() -> T) -> (T, Recording) {
    RECORDING.set(Some(Recording::default()));
    let said = verify();
    (said, RECORDING.take().unwrap_or_default())
}

/// The channel of our proofs, recorded.
#[derive(Debug, Default, Clone)]
pub(crate) struct RecordingChannel(Blake2sM31Channel);

impl Channel for RecordingChannel {
    const BYTES_PER_HASH: usize = Blake2sM31Channel::BYTES_PER_HASH;

    fn verify_pow_nonce(&self, n_bits: u32, nonce: u64) -> bool {
        self.0.verify_pow_nonce(n_bits, nonce)
    }

    fn mix_u32s(&mut self, data: &[u32]) {
        self.0.mix_u32s(data);
    }

    fn mix_felts(&mut self, felts: &[SecureField]) {
        self.0.mix_felts(felts);
    }

    fn mix_u64(&mut self, value: u64) {
        self.0.mix_u64(value);
    }

    fn draw_secure_felt(&mut self) -> SecureField {
        self.0.draw_secure_felt()
    }

    fn draw_secure_felts(&mut self, n_felts: usize) -> Vec<SecureField> {
        self.0.draw_secure_felts(n_felts)
    }

    /// Verifiers draw words for queries only; what was hashed before that belongs to the claim.
    fn draw_u32s(&mut self) -> Vec<u32> {
        let words = self.0.draw_u32s();
        note(|recording| {
            recording.query_words.extend(&words);
            recording.hashed.clear();
        });
        words
    }
}

/// The Merkle hasher of our proofs, recorded.
#[derive(Debug, Default, Clone)]
pub(crate) struct RecordingHasher {
    inner: Blake2sM31MerkleHasher,
    values: Vec<BaseField>,
}

impl MerkleHasherLifted for RecordingHasher {
    type Hash = Blake2sHash;

    fn hash_children(children: (Blake2sHash, Blake2sHash)) -> Blake2sHash {
        note(|recording| recording.hashed.push(Hashed::Children(children.0, children.1)));
        Blake2sM31MerkleHasher::hash_children(children)
    }

    fn update_leaf(&mut self, column_values: &[BaseField]) {
        self.values.extend_from_slice(column_values);
        self.inner.update_leaf(column_values);
    }

    fn finalize(self) -> Blake2sHash {
        let hash = MerkleHasherLifted::finalize(self.inner);
        note(|recording| recording.hashed.push(Hashed::Leaf(self.values)));
        hash
    }
}

/// [`Blake2sM31MerkleChannel`], recorded.
#[derive(Default)]
pub(crate) struct RecordingMerkleChannel;

impl MerkleChannel for RecordingMerkleChannel {
    type C = RecordingChannel;
    type H = RecordingHasher;

    fn mix_root(channel: &mut RecordingChannel, root: Blake2sHash) {
        Blake2sM31MerkleChannel::mix_root(&mut channel.0, root);
    }
}
