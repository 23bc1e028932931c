//! The deployed verifier and the native one on the same proofs, good and broken: the same answer, for the same reason.
//!
//! `PROPTEST_CASES`, as the full tests set it, multiplies the flipped bits.

use std::ops::Range;
use std::time::Duration;

use alloy::hex::FromHex;
use alloy::primitives::{Address, B256, Bytes};
use alloy::rpc::types::{TransactionInput, TransactionRequest};
use alloy::sol_types::SolCall as _;
use alloy::transports::TransportError;
use anyhow::Context as _;
use serde_json::Value;
use sidereal_final_proof::{
    DecodeError, FinalProof, FinalVerifyError, KeccakHash, Parameters, TraceTree, VerificationKey,
    verify_calldata,
};
use sidereal_l1_settler::{Deployer, L1};
use sidereal_service::Secret;
use sidereal_settlement::deployment::{VerifierKey, circuit_verifier};
use sidereal_settlement::{CircuitVerifier, Refusal};

use crate::aggregated::{Aggregated, fixtures};
use crate::anvil::{Anvil, KEYS};
use crate::world::{account, config};

/// Bits that are flipped in each region of a proof, in the normal tests.
const FLIPS: usize = 16;
/// Cases of a property where `PROPTEST_CASES` says nothing.
const DEFAULT_CASES: usize = 256;

/// What a verifier says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Accepted,
    /// A word of the output is too large.
    Output,
    /// A field element is too large.
    NonCanonical,
    /// There are more or fewer bytes than are read.
    Length,
    InteractionWork,
    QueryWork,
    LookupSum,
    Constraints,
    /// The rows are not of the preprocessed, trace, interaction or composition tree.
    Rows(u64),
    /// The values are not of a FRI layer's tree.
    Layer(u64),
    /// The last layer is another polynomial.
    LastLayer,
}

impl Answer {
    fn native(verified: Result<(), DecodeError>) -> anyhow::Result<Self> {
        let error = match verified {
            Ok(()) => return Ok(Self::Accepted),
            Err(DecodeError::Truncated(_) | DecodeError::TrailingBytes(_)) => {
                return Ok(Self::Length);
            }
            Err(DecodeError::NonCanonical(_)) => return Ok(Self::NonCanonical),
            Err(DecodeError::Head(error)) => *error,
            Err(error) => return Err(error.into()),
        };
        Ok(match error {
            FinalVerifyError::Output(_) => Self::Output,
            FinalVerifyError::InteractionProofOfWork => Self::InteractionWork,
            FinalVerifyError::QueryProofOfWork => Self::QueryWork,
            FinalVerifyError::LookupSum => Self::LookupSum,
            FinalVerifyError::Constraints => Self::Constraints,
            FinalVerifyError::TraceCommitment(tree) => Self::Rows(match tree {
                TraceTree::Preprocessed => 0,
                TraceTree::Trace => 1,
                TraceTree::Interaction => 2,
                TraceTree::Composition => 3,
            }),
            FinalVerifyError::FriCommitment(layer) => Self::Layer(u64::try_from(layer)?),
            FinalVerifyError::LastLayer(_) => Self::LastLayer,
            error => return Err(error.into()),
        })
    }

    fn of_contract(refusal: Refusal) -> anyhow::Result<Self> {
        use CircuitVerifier::CircuitVerifierErrors as Errors;
        let Refusal::Verifier(error) = refusal else {
            anyhow::bail!("the contract has refused otherwise: {refusal}")
        };
        Ok(match error {
            Errors::NonCanonicalOutput(_) => Self::Output,
            Errors::NonCanonicalElement(_)
            | Errors::NonCanonicalRow(_)
            | Errors::NonCanonicalLayer(_) => Self::NonCanonical,
            Errors::ProofLength(_) => Self::Length,
            Errors::InteractionProofOfWork(_) => Self::InteractionWork,
            Errors::QueryProofOfWork(_) => Self::QueryWork,
            Errors::LookupSum(_) => Self::LookupSum,
            Errors::ConstraintsNotSatisfied(_) => Self::Constraints,
            Errors::TraceCommitment(error) => Self::Rows(error.tree.to()),
            Errors::LayerCommitment(error) => Self::Layer(error.layer.to()),
            Errors::LastLayer(_) => Self::LastLayer,
            error => anyhow::bail!("the verifier has refused otherwise: {error:?}"),
        })
    }

    /// Whether the native verifier's answer and the contract's are the same, as far as they look in the same order.
    fn agrees(self, contract: Self) -> bool {
        match (self, contract) {
            // The native verifier reads all of the elements first, the contract hashes rows as they are.
            (Self::NonCanonical, Self::Rows(_)) => true,
            // Where a proof ends early, the contract reads zeros, and counts at the end.
            (Self::Length, contract) => contract != Self::Accepted,
            (native, contract) => native == contract,
        }
    }
}

/// A proof that was made, and the circuit that it is of.
struct Stored {
    name: &'static str,
    proof: Vec<u8>,
    output: [u8; 32],
    key: VerificationKey,
}

impl Stored {
    /// The last proof of an aggregation, by the key that is deployed.
    fn aggregated() -> anyhow::Result<Self> {
        let Aggregated { update, statement } = Aggregated::load()?;
        let proof = update.proof.to_vec();
        Ok(Self { name: "aggregated", proof, output: statement, key: VerificationKey::ETHEREUM })
    }

    /// One of the proofs of small circuits that the verifier's own tests have.
    fn of_circuit(name: &'static str, folder: &str) -> anyhow::Result<Self> {
        let folder = fixtures(folder);
        let json: Value = serde_json::from_slice(&std::fs::read(folder.join("key.json"))?)?;
        let text = |name: &str| json[name].as_str().with_context(|| format!("there is no {name}"));
        let sizes: Vec<u32> = serde_json::from_value(json["componentLogSizes"].clone())?;
        let key = VerificationKey {
            parameters: Parameters::ETHEREUM,
            component_log_sizes: sizes.try_into().ok().context("another number of components")?,
            preprocessed_root: KeccakHash(FromHex::from_hex(text("preprocessedRoot")?)?),
        };
        let output = FromHex::from_hex(text("output")?)?;
        Ok(Self { name, proof: std::fs::read(folder.join("proof.bin"))?, output, key })
    }
}

/// A circuit's verifier on Anvil.
struct Deployed<'a> {
    anvil: &'a Anvil,
    address: Address,
    key: VerificationKey,
}

impl<'a> Deployed<'a> {
    async fn new(anvil: &'a Anvil, key: &VerificationKey) -> anyhow::Result<Self> {
        let l1 = L1::new(&Secret::new(anvil.url.clone()), Duration::from_secs(60))?;
        let deployer = Deployer {
            l1: &l1,
            account: &account(KEYS[0])?,
            bounds: config().bounds(),
            timeout: Duration::from_secs(60),
        };
        let mut component_log_sizes = [0; 11];
        for (size, log_size) in component_log_sizes.iter_mut().zip(key.component_log_sizes) {
            *size = u8::try_from(log_size)?;
        }
        let preprocessed_root = key.preprocessed_root.0;
        let code = circuit_verifier(&VerifierKey { preprocessed_root, component_log_sizes });
        let (address, _) = deployer.create("CircuitVerifier", code).await?;
        Ok(Self { anvil, address, key: key.clone() })
    }

    /// What both verifiers say of these bytes, which must be the same.
    async fn answer(&self, proof: &[u8], output: &[u8; 32]) -> anyhow::Result<Answer> {
        let native = Answer::native(verify_calldata(proof, &self.key, output))?;
        let call = CircuitVerifier::verifyCall {
            output: B256::from(*output),
            proof: proof.to_vec().into(),
        };
        let request = TransactionRequest {
            to: Some(self.address.into()),
            input: TransactionInput::new(call.abi_encode().into()),
            ..Default::default()
        };
        let called: anyhow::Result<Bytes> = self.anvil.ask("eth_call", (request, "latest")).await;
        let contract = match called {
            Ok(_) => Answer::Accepted,
            Err(error) => {
                let answered = error.downcast_ref::<TransportError>();
                let revert = answered.and_then(|error| error.as_error_resp()?.as_revert_data());
                let Some(revert) = revert else { return Err(error) };
                Answer::of_contract(Refusal::decode(&revert))?
            }
        };
        anyhow::ensure!(
            native.agrees(contract),
            "the native verifier says {native:?}, the contract {contract:?}"
        );
        Ok(native)
    }
}

/// A part of a proof, and the check that a change of it fails.
struct Region {
    name: String,
    /// Its bytes in the encoding.
    bytes: Vec<Range<usize>>,
    refused_for: Answer,
}

impl Region {
    fn bits(&self) -> usize {
        8 * self.bytes.iter().map(Range::len).sum::<usize>()
    }

    /// Byte of the proof, and bit of that byte.
    fn bit(&self, mut bit: usize) -> Option<(usize, usize)> {
        for range in &self.bytes {
            if bit < 8 * range.len() {
                return Some((range.start + bit / 8, bit % 8));
            }
            bit -= 8 * range.len();
        }
        None
    }
}

/// Every byte of a proof, by what it is for.
fn regions(stored: &Stored) -> anyhow::Result<Vec<Region>> {
    let proof = FinalProof::from_calldata(&stored.proof, &stored.key, &stored.output)?;
    let mut at = 0;
    let mut next = |length: usize| {
        at += length;
        at - length..at
    };
    let mut regions = Vec::new();
    let mut add = |name: &str, bytes: Vec<Range<usize>>, refused_for: Answer| {
        regions.push(Region { name: name.to_owned(), bytes, refused_for });
    };
    // Changes of what is in the transcript are noticed there: the work was done for another one.
    add("trace root", vec![next(24)], Answer::InteractionWork);
    add("nonce of the interaction's work", vec![next(8)], Answer::InteractionWork);
    add("claimed sums", vec![next(16 * proof.head.claimed_sums.len())], Answer::QueryWork);
    add("interaction root", vec![next(24)], Answer::QueryWork);
    add("composition root", vec![next(24)], Answer::QueryWork);
    add("sampled values", vec![next(16 * proof.head.sampled_values.len())], Answer::QueryWork);
    for layer in 0..proof.head.fri_roots.len() {
        add(&format!("root of FRI layer {layer}"), vec![next(24)], Answer::QueryWork);
    }
    add("last layer", vec![next(16 * proof.head.last_layer.len())], Answer::QueryWork);
    add("nonce of the queries' work", vec![next(8)], Answer::QueryWork);

    let mut rows: [Vec<Range<usize>>; 4] = Default::default();
    for query in 0..proof.openings[0].values.len() {
        for (bytes, opening) in rows.iter_mut().zip(&proof.openings) {
            bytes.push(next(4 * opening.values[query].len()));
        }
    }
    let mut paths: [Vec<Range<usize>>; 4] = Default::default();
    for _ in 0..proof.openings[0].hashes.len() {
        paths.iter_mut().for_each(|bytes| bytes.push(next(24)));
    }
    for (tree, (rows, paths)) in (0..).zip(rows.into_iter().zip(paths)) {
        add(&format!("values of tree {tree}"), rows, Answer::Rows(tree));
        add(&format!("hashes of tree {tree}"), paths, Answer::Rows(tree));
    }
    for (layer, opening) in (0..).zip(&proof.fri_openings) {
        let values = next(16 * opening.values.len());
        add(&format!("values of FRI layer {layer}"), vec![values], Answer::Layer(layer));
        let hashes = next(24 * opening.hashes.len());
        add(&format!("hashes of FRI layer {layer}"), vec![hashes], Answer::Layer(layer));
    }
    anyhow::ensure!(at == stored.proof.len(), "{} bytes are in no region", stored.proof.len() - at);
    Ok(regions)
}

/// How many bits of a region of so many are flipped.
fn flips(bits: usize) -> anyhow::Result<usize> {
    let cases = match std::env::var("PROPTEST_CASES") {
        Ok(cases) => cases.parse().context("PROPTEST_CASES")?,
        Err(_) => DEFAULT_CASES,
    };
    Ok((FLIPS * cases.max(DEFAULT_CASES) / DEFAULT_CASES).min(bits))
}

/// So many different ones of `bits` bits, all over them.
fn spread(bits: usize, count: usize) -> impl Iterator<Item = usize> {
    // A prime above any number of bits here, so that none comes twice.
    const STEP: usize = 15_485_863;
    (1..=count).map(move |index| index * STEP % bits)
}

/// Pins down that a proof is accepted by both verifiers with its own key and output alone.
#[tokio::test(flavor = "multi_thread")]
async fn both_verifiers_accept_the_same_proofs() -> anyhow::Result<()> {
    let anvil = Anvil::start().await?;
    let stored = [
        Stored::aggregated()?,
        Stored::of_circuit("small", "verifier/fixtures")?,
        Stored::of_circuit("large", "verifier/fixtures/large")?,
    ];
    for (index, own) in stored.iter().enumerate() {
        let verifier = Deployed::new(&anvil, &own.key).await?;
        for (other, proof) in stored.iter().enumerate() {
            let answer = verifier.answer(&proof.proof, &proof.output).await;
            let answer = answer.with_context(|| format!("{} by {}", proof.name, own.name))?;
            let expected = if other == index { Answer::Accepted } else { Answer::InteractionWork };
            assert_eq!(answer, expected, "{} by {}", proof.name, own.name);
            // What another proof says.
            if other != index {
                let answer = verifier.answer(&own.proof, &proof.output).await?;
                assert_eq!(answer, Answer::InteractionWork, "{} says {}", own.name, proof.name);
            }
        }
    }
    Ok(())
}

/// Pins down that no bit of a proof is idle: each that is flipped, in every region, is refused by both verifiers, and by
/// the check that the region is for.
#[tokio::test(flavor = "multi_thread")]
async fn flipped_bits_are_refused_by_both_verifiers() -> anyhow::Result<()> {
    let anvil = Anvil::start().await?;
    let stored = Stored::aggregated()?;
    let verifier = Deployed::new(&anvil, &stored.key).await?;
    let regions = regions(&stored)?;
    assert_eq!(regions.len(), 11 + 2 * 4 + 2 * 3);
    let mut changed = stored.proof.clone();
    let mut flipped = 0;
    for region in &regions {
        let count = flips(region.bits())?;
        assert!(count >= FLIPS, "{} has {} bits", region.name, region.bits());
        for bit in spread(region.bits(), count) {
            let (byte, bit) = region.bit(bit).context("the bit is in the region")?;
            changed[byte] ^= 1 << bit;
            let place = || format!("bit {bit} of byte {byte}, {}", region.name);
            let answer = verifier.answer(&changed, &stored.output).await.with_context(place)?;
            // The highest bits of elements make them too large.
            let expected = [region.refused_for, Answer::NonCanonical];
            assert!(expected.contains(&answer), "{}: {answer:?}", place());
            changed[byte] ^= 1 << bit;
            flipped += 1;
        }
    }
    assert_eq!(changed, stored.proof);

    let bits = 8 * stored.output.len();
    for bit in spread(bits, flips(bits)?) {
        let mut output = stored.output;
        output[bit / 8] ^= 1 << (bit % 8);
        let answer = verifier.answer(&stored.proof, &output).await?;
        let expected = if bit % 32 == 31 { Answer::Output } else { Answer::InteractionWork };
        assert_eq!(answer, expected, "bit {bit} of the output");
        flipped += 1;
    }
    println!("{flipped} bits were flipped");
    assert_eq!(verifier.answer(&stored.proof, &stored.output).await?, Answer::Accepted);
    Ok(())
}

/// Pins down that both verifiers refuse a proof that is longer or shorter, or has two of its parts exchanged.
#[tokio::test(flavor = "multi_thread")]
async fn other_lengths_and_exchanged_parts_are_refused_by_both_verifiers() -> anyhow::Result<()> {
    let anvil = Anvil::start().await?;
    let stored = Stored::aggregated()?;
    let verifier = Deployed::new(&anvil, &stored.key).await?;
    let length = stored.proof.len();
    for cut in [0, 1, 24, 5_000, 10_239, 10_240, length / 2, length - 24, length - 1] {
        let answer = verifier.answer(&stored.proof[..cut], &stored.output).await;
        assert_eq!(answer.with_context(|| format!("{cut} bytes"))?, Answer::Length, "{cut} bytes");
    }
    for more in [1, 24, 1_000] {
        let longer = [&stored.proof[..], &vec![0; more]].concat();
        assert_eq!(verifier.answer(&longer, &stored.output).await?, Answer::Length);
    }
    for region in regions(&stored)? {
        // Two neighbours of the smallest size that things have in the region, or of the only thing there is.
        let size = if region.name.starts_with("hashes") { 24 } else { 4 };
        let Some(range) = region.bytes.iter().find(|range| range.len() >= 2 * size) else {
            let [first, second, ..] = &region.bytes[..] else { continue };
            let changed = exchanged(&stored.proof, first.start, second.start, size);
            let answer = verifier.answer(&changed, &stored.output).await?;
            assert_eq!(answer, region.refused_for, "{}", region.name);
            continue;
        };
        let changed = exchanged(&stored.proof, range.start, range.start + size, size);
        let answer = verifier.answer(&changed, &stored.output).await?;
        let expected = [region.refused_for, Answer::NonCanonical];
        assert!(expected.contains(&answer), "{}: {answer:?}", region.name);
    }
    Ok(())
}

/// The bytes with two parts of them, which differ, in each other's place.
fn exchanged(bytes: &[u8], first: usize, second: usize, size: usize) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    changed[first..first + size].copy_from_slice(&bytes[second..second + size]);
    changed[second..second + size].copy_from_slice(&bytes[first..first + size]);
    assert_ne!(changed, bytes, "they are equal");
    changed
}
