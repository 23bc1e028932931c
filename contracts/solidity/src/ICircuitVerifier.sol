// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// Verifier of the last circuit's proof. Its verification key and parameters are its own and never change.
interface ICircuitVerifier {
    /// Returns only if `proof` shows that the last circuit accepts with the public output `output`; reverts otherwise.
    ///
    /// @param output Two QM31 values: eight little endian words of 31 bits, the first in the first four bytes.
    /// @param proof The proof in its compact encoding, of which there is exactly one.
    function verify(bytes32 output, bytes calldata proof) external view;
}
