// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Circle} from "../../src/verifier/Circle.sol";
import {CircuitVerifier} from "../../src/verifier/CircuitVerifier.sol";
import {Fri} from "../../src/verifier/Fri.sol";
import {INPUTS, OODS_X, OUTPUT} from "../../src/verifier/Memory.sol";
import {VerifierFixture} from "./VerifierFixture.sol";

/// A verifier that takes its randomness from one proof and checks another: what a proof is refused for where the
/// transcript, in which the smallest change shows up as missing work, does not refuse it before.
contract LateVerifier is CircuitVerifier {
    constructor(bytes24 preprocessedRoot, uint8[11] memory componentLogSizes)
        CircuitVerifier(preprocessedRoot, componentLogSizes)
    {}

    function verifyLate(bytes32 output, bytes calldata said, bytes calldata checked) external view {
        _replay(output, _start(said));
        _check(_position(checked), checked.length);
    }

    /// The check of the lookups with z and alpha of one's choice, for an output of zeros.
    function lookupsAt(uint256 z, uint256 alpha, bytes calldata proof) external view {
        uint256 proofAt = _start(proof);
        assembly {
            mstore(INPUTS, z)
            mstore(add(INPUTS, 0x20), alpha)
            mstore(OUTPUT, 0)
        }
        _checkLookups(proofAt);
    }

    /// The check of the constraints at the x of a point of order 2^21, which the trace's domain could have.
    function constraintsInTheDomain(bytes32 output, bytes calldata proof) external view {
        uint256 proofAt = _start(proof);
        _replay(output, proofAt);
        _arrange(proofAt);
        (uint256 x,) = Circle.point(1 << 4);
        assembly {
            mstore(OODS_X, x)
        }
        _checkConstraints(proofAt);
    }

    function _position(bytes calldata checked) private pure returns (uint256 proofAt) {
        assembly {
            proofAt := checked.offset
        }
    }
}

/// What the verifier accepts and refuses, on a real proof. `crates/final-proof/tests/fixture.rs` has the same cases for the
/// native verifier.
contract CircuitVerifierTest is VerifierFixture {
    // Where the parts of a proof begin, see `crates/final-proof/src/proof.rs`.
    uint256 private constant CLAIMED_SUMS = 32;
    uint256 private constant INTERACTION_ROOT = 208;
    uint256 private constant COMPOSITION_ROOT = 232;
    uint256 private constant SAMPLES = 256;
    uint256 private constant FRI_ROOTS = 6064;
    uint256 private constant LAST_LAYER = 6136;
    uint256 private constant QUERY_NONCE = 10232;
    uint256 private constant OPENINGS = 10240;
    uint256 private constant ROW = 1276;

    LateVerifier private verifier;

    function setUp() public {
        loadFixture();
        verifier = new LateVerifier(preprocessedRoot, componentLogSizes);
    }

    /// Calls with arguments already encoded, so that thousands of calls share one piece of memory.
    function _call(bytes memory data) private view returns (bool accepted, bytes4 reason) {
        address target = address(verifier);
        assembly {
            mstore(0, 0)
            accepted := staticcall(gas(), target, add(data, 0x20), mload(data), 0, 4)
            reason := mload(0)
        }
    }

    function _flip(bytes memory data, uint256 index, uint256 bit) private pure {
        data[index] = bytes1(uint8(data[index]) ^ uint8(1 << bit));
    }

    function test_acceptsAProof() public view {
        verifier.verify(output, proof);
    }

    function test_acceptsAProofOfAnotherCircuit() public {
        loadFixture("large/");
        new CircuitVerifier(preprocessedRoot, componentLogSizes).verify(output, proof);
        vm.expectRevert(CircuitVerifier.InteractionProofOfWork.selector);
        verifier.verify(output, proof);
    }

    function test_holdsItsKey() public view {
        vm.assertEq(verifier.PREPROCESSED_ROOT(), bytes32(preprocessedRoot));
        for (uint256 component; component < 11; ++component) {
            uint256 logSize = (verifier.COMPONENT_LOG_SIZES() >> (8 * component)) & 0xff;
            vm.assertEq(logSize, componentLogSizes[component]);
        }
    }

    /// EIP-170 and EIP-3860, which Forge does not hold contracts to that tests create.
    function test_fitsIntoAContract() public {
        CircuitVerifier deployed = new CircuitVerifier(preprocessedRoot, componentLogSizes);
        vm.assertLe(address(deployed).code.length, 24576);
        vm.assertLe(address(deployed.CONSTRAINTS()).code.length, 24576);
        vm.assertLe(type(CircuitVerifier).creationCode.length + 12 * 32, 49152);
        deployed.verify(output, proof);
    }

    /// Bits in every region of the proof: every head byte's turn comes, and bytes all over the openings.
    function test_refusesFlippedBits() public view {
        bytes memory data = abi.encodeCall(verifier.verify, (output, proof));
        uint256 length = proof.length;
        for (uint256 i; i < 600; ++i) {
            uint256 index = i < 300 ? (i * 37) % OPENINGS : OPENINGS + (i * 311) % (length - OPENINGS);
            _flip(data, 100 + index, i % 8);
            (bool accepted,) = _call(data);
            vm.assertFalse(accepted, vm.toString(index));
            _flip(data, 100 + index, i % 8);
        }
        (bool unchanged,) = _call(data);
        vm.assertTrue(unchanged);
    }

    /// Any bit at all; thousands in the full tests.
    function testFuzz_refusesAFlippedBit(uint256 bit) public view {
        bytes memory data = abi.encodeCall(verifier.verify, (output, proof));
        bit = bound(bit, 0, 8 * proof.length - 1);
        _flip(data, 100 + bit / 8, bit % 8);
        (bool accepted,) = _call(data);
        vm.assertFalse(accepted);
    }

    /// Any bit of what follows the transcript, with the transcript of the proof as it was.
    function testFuzz_refusesAFlippedBitOfTheOpenings(uint256 bit) public view {
        (bytes memory data, uint256 proofAt) = _lateCall();
        bit = bound(bit, 8 * OPENINGS, 8 * proof.length - 1);
        _flip(data, proofAt + bit / 8, bit % 8);
        (bool accepted,) = _call(data);
        vm.assertFalse(accepted);
    }

    function test_refusesEveryOtherOutput() public view {
        bytes memory data = abi.encodeCall(verifier.verify, (output, proof));
        for (uint256 bit; bit < 256; ++bit) {
            _flip(data, 4 + bit / 8, bit % 8);
            (bool accepted, bytes4 reason) = _call(data);
            vm.assertFalse(accepted, vm.toString(bit));
            // Little endian words: their highest bit is of the last byte of four.
            if (bit % 32 == 31) vm.assertEq(bytes32(reason), bytes32(CircuitVerifier.NonCanonicalOutput.selector));
            _flip(data, 4 + bit / 8, bit % 8);
        }
    }

    function test_refusesOtherLengths() public {
        uint256[6] memory shorter = [uint256(0), 1, 200, OPENINGS - 1, proof.length / 2, proof.length - 1];
        bytes memory whole = proof;
        for (uint256 i; i < shorter.length; ++i) {
            bytes memory part = new bytes(shorter[i]);
            for (uint256 j; j < part.length; ++j) {
                part[j] = whole[j];
            }
            if (part.length < OPENINGS) {
                vm.expectRevert(abi.encodeWithSelector(CircuitVerifier.ProofLength.selector, OPENINGS, part.length));
            } else {
                vm.expectRevert();
            }
            verifier.verify(output, part);
        }
        vm.expectRevert(abi.encodeWithSelector(CircuitVerifier.ProofLength.selector, proof.length, proof.length + 1));
        verifier.verify(output, bytes.concat(whole, hex"00"));
    }

    /// Two queried rows, two hashes and two samples, exchanged.
    function test_refusesExchangedParts() public view {
        bytes memory data = abi.encodeCall(verifier.verify, (output, proof));
        _refusesExchange(data, SAMPLES + 16 * 49, SAMPLES + 16 * 50, 16);
        _refusesExchange(data, INTERACTION_ROOT, COMPOSITION_ROOT, 24);
        _refusesExchange(data, FRI_ROOTS, FRI_ROOTS + 24, 24);
        _refusesExchange(data, OPENINGS, OPENINGS + ROW, ROW);
        _refusesExchange(data, OPENINGS + 4 * 200, OPENINGS + 4 * 201, 4);
        _refusesExchange(data, proof.length - 48, proof.length - 24, 24);
    }

    function _refusesExchange(bytes memory data, uint256 a, uint256 b, uint256 length) private view {
        _exchange(data, a, b, length);
        (bool accepted,) = _call(data);
        vm.assertFalse(accepted, vm.toString(a));
        _exchange(data, a, b, length);
    }

    function _exchange(bytes memory data, uint256 a, uint256 b, uint256 length) private pure {
        for (uint256 i; i < length; ++i) {
            (data[100 + a + i], data[100 + b + i]) = (data[100 + b + i], data[100 + a + i]);
        }
    }

    // With the transcript of the proof before the change.

    /// The proof that is checked is the second of two in the calldata.
    function _lateCall() private view returns (bytes memory data, uint256 proofAt) {
        data = abi.encodeCall(verifier.verifyLate, (output, proof, proof));
        proofAt = data.length - (proof.length + 31) / 32 * 32;
    }

    /// Flips `n` bits from byte `from` to `to`, each of which must be refused for `expected`.
    function _refusesFor(bytes4 expected, uint256 from, uint256 to, uint256 n) private view {
        (bytes memory data, uint256 proofAt) = _lateCall();
        (bool unchanged,) = _call(data);
        vm.assertTrue(unchanged, "unchanged");
        for (uint256 i; i < n; ++i) {
            uint256 index = from + (i * 7919) % (to - from);
            // Not the highest bit of four bytes: values stay canonical.
            uint256 bit = i % 7;
            _flip(data, proofAt + index, bit);
            (bool accepted, bytes4 reason) = _call(data);
            vm.assertFalse(accepted, vm.toString(index));
            vm.assertEq(bytes32(reason), bytes32(expected), vm.toString(index));
            _flip(data, proofAt + index, bit);
        }
    }

    function test_refusesOtherClaimedSums() public view {
        _refusesFor(CircuitVerifier.LookupSum.selector, CLAIMED_SUMS, INTERACTION_ROOT, 60);
    }

    /// Samples that no constraint reads are those of preprocessed columns that no component needs: there are none.
    function test_refusesOtherSamples() public view {
        _refusesFor(CircuitVerifier.ConstraintsNotSatisfied.selector, SAMPLES, FRI_ROOTS, 200);
    }

    function test_refusesOtherRows() public view {
        _refusesFor(CircuitVerifier.TraceCommitment.selector, OPENINGS, OPENINGS + 17 * ROW, 150);
        _refusesFor(CircuitVerifier.TraceCommitment.selector, OPENINGS + 17 * ROW, OPENINGS + 40000, 100);
    }

    function test_refusesOtherRoots() public view {
        _refusesFor(CircuitVerifier.TraceCommitment.selector, 0, 24, 24);
        _refusesFor(CircuitVerifier.TraceCommitment.selector, INTERACTION_ROOT, SAMPLES, 48);
        _refusesFor(Fri.LayerCommitment.selector, FRI_ROOTS, LAST_LAYER, 72);
    }

    /// A value that a coset folds by changes its leaf too.
    function test_refusesOtherFriOpenings() public view {
        _refusesFor(Fri.LayerCommitment.selector, proof.length - 20000, proof.length, 200);
    }

    function test_refusesAnotherLastLayer() public view {
        _refusesFor(Fri.LastLayer.selector, LAST_LAYER, QUERY_NONCE, 100);
    }

    function test_refusesNonCanonicalElements() public {
        bytes memory changed = proof;
        uint256[3] memory places = [CLAIMED_SUMS, SAMPLES + 16 * 362 + 12, LAST_LAYER + 32];
        for (uint256 i; i < 3; ++i) {
            bytes4 before = _replace(changed, places[i], hex"7fffffff");
            vm.expectRevert(CircuitVerifier.NonCanonicalElement.selector);
            verifier.verify(output, changed);
            _replace(changed, places[i], hex"80000000");
            vm.expectRevert(CircuitVerifier.NonCanonicalElement.selector);
            verifier.verify(output, changed);
            _replace(changed, places[i], before);
        }
    }

    function _replace(bytes memory data, uint256 place, bytes4 value) private pure returns (bytes4 before) {
        assembly {
            let word := add(add(data, 0x20), place)
            before := and(mload(word), shl(224, 0xffffffff))
            mstore(word, or(and(mload(word), shr(32, not(0))), value))
        }
    }

    /// Randomness that no hash gives: with these, each check would hold, or would be about nothing.
    function test_refusesDegenerateRandomness() public {
        // The gates' relation, whose wires all combine to zero then.
        vm.expectRevert(Circle.DegenerateRandomness.selector);
        verifier.lookupsAt(378353459, 0, proof);
        vm.expectRevert(CircuitVerifier.LookupSum.selector);
        verifier.lookupsAt(378353460, 0, proof);
        vm.expectRevert(Circle.DegenerateRandomness.selector);
        verifier.constraintsInTheDomain(output, proof);
    }

    function test_refusesMissingWork() public {
        bytes memory changed = proof;
        changed[31] ^= 0x01;
        vm.expectRevert(CircuitVerifier.InteractionProofOfWork.selector);
        verifier.verify(output, changed);
        changed[31] ^= 0x01;
        changed[QUERY_NONCE + 7] ^= 0x01;
        vm.expectRevert(CircuitVerifier.QueryProofOfWork.selector);
        verifier.verify(output, changed);
    }

    function test_refusesProofsForAnotherKey() public {
        LateVerifier other = new LateVerifier(preprocessedRoot ^ bytes24(uint192(1)), componentLogSizes);
        vm.expectRevert(CircuitVerifier.InteractionProofOfWork.selector);
        other.verify(output, proof);
        uint8[11] memory logSizes = componentLogSizes;
        logSizes[0] += 1;
        other = new LateVerifier(preprocessedRoot, logSizes);
        vm.expectRevert(CircuitVerifier.InteractionProofOfWork.selector);
        other.verify(output, proof);
    }

    function test_refusesKeysOfNoCircuit() public {
        uint8[11] memory logSizes = componentLogSizes;
        logSizes[4] = 21;
        vm.expectRevert(abi.encodeWithSelector(CircuitVerifier.ComponentSize.selector, 4, 21));
        new LateVerifier(preprocessedRoot, logSizes);
        logSizes = componentLogSizes;
        logSizes[6] = 19;
        vm.expectRevert(abi.encodeWithSelector(CircuitVerifier.ComponentSize.selector, 6, 19));
        new LateVerifier(preprocessedRoot, logSizes);
    }
}
