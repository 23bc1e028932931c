// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AggregatedOutput} from "./AggregatedOutput.sol";

/// Data availability: the transaction carries blobs, and they hold the data that the aggregator has seen.
///
/// The aggregator takes the evaluation point z from a hash over the data and the commitments, and computes every data
/// polynomial's value there. A blob whose commitment opens at z to the same value is, but for a probability of some
/// 2^-240, that polynomial.
library BlobData {
    using AggregatedOutput for uint256[];

    /// There is not one opening for each blob.
    error KzgProofCount(uint256 found, uint256 expected);
    /// An opening is no point of 48 bytes.
    error KzgProofLength(uint256 blob, uint256 length);
    /// The transaction carries fewer blobs than the output names.
    error BlobMissing(uint256 blob);
    /// The transaction carries more blobs than the output names.
    error BlobUnexpected(uint256 blob);
    /// A blob is another than the one that the output commits to.
    error BlobMismatch(uint256 blob, bytes32 found, bytes32 expected);
    /// A blob does not have the value that the aggregator has computed.
    error EvaluationRefused(uint256 blob);

    /// EIP-4844's precompile.
    address private constant POINT_EVALUATION = address(0x0a);
    uint256 private constant KZG_PROOF_BYTES = 48;
    /// What the precompile answers: elements of a blob, and the field's prime.
    uint256 private constant BLOB_ELEMENTS = 4096;
    uint256 private constant BLS_MODULUS = 0x73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001;
    /// First byte of the versioned hash of a KZG commitment.
    bytes32 private constant KZG_VERSION = bytes32(uint256(1) << 248);
    bytes32 private constant UNVERSIONED = bytes32(type(uint256).max >> 8);

    /// Checks that the transaction's blobs are those of `output`, no more and no fewer, and returns their versioned
    /// hashes. `openings` are the proofs of the evaluations, in the blobs' order.
    function check(uint256[] calldata output, AggregatedOutput.Parts memory parts, bytes[] calldata openings)
        internal
        view
        returns (bytes32[] memory hashes)
    {
        uint256 blobs = parts.blobs;
        if (openings.length != blobs) revert KzgProofCount(openings.length, blobs);
        if (blobhash(blobs) != 0) revert BlobUnexpected(blobs);
        hashes = new bytes32[](blobs);
        for (uint256 blob = 0; blob < blobs; ++blob) {
            hashes[blob] = checkBlob(output, parts, blob, openings[blob]);
        }
    }

    /// Checks one blob and returns its versioned hash.
    function checkBlob(
        uint256[] calldata output,
        AggregatedOutput.Parts memory parts,
        uint256 blob,
        bytes calldata opening
    ) private view returns (bytes32 found) {
        bytes memory commitment = output.commitment(blob);
        bytes32 expected = (sha256(commitment) & UNVERSIONED) | KZG_VERSION;
        found = blobhash(blob);
        if (found == 0) revert BlobMissing(blob);
        if (found != expected) revert BlobMismatch(blob, found, expected);
        if (opening.length != KZG_PROOF_BYTES) revert KzgProofLength(blob, opening.length);
        uint256 point = output[AggregatedOutput.EVALUATION_POINT];
        uint256 value = output.evaluation(parts, blob);
        if (!opens(found, point, value, commitment, opening)) revert EvaluationRefused(blob);
    }

    /// Whether the polynomial behind `commitment` has the value `value` at `point`.
    function opens(bytes32 versionedHash, uint256 point, uint256 value, bytes memory commitment, bytes calldata opening)
        private
        view
        returns (bool)
    {
        (bool success, bytes memory answer) =
            POINT_EVALUATION.staticcall(abi.encodePacked(versionedHash, point, value, commitment, opening));
        // A chain without the precompile answers successfully, too, but with nothing.
        if (!success || answer.length != 64) return false;
        (uint256 elements, uint256 modulus) = abi.decode(answer, (uint256, uint256));
        return elements == BLOB_ELEMENTS && modulus == BLS_MODULUS;
    }
}
