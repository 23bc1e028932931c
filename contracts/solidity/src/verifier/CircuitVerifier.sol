// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ICircuitVerifier} from "../ICircuitVerifier.sol";
import {Circle} from "./Circle.sol";
import {CirclePoints} from "./CirclePoints.sol";
import {Fri} from "./Fri.sol";
import {KeccakChannel} from "./KeccakChannel.sol";
import {
    CHANNEL,
    FOLDING_COEFFICIENTS,
    INPUTS,
    INTERACTION_STARTS,
    MEMORY_END,
    N_POSITIONS,
    OODS_X,
    OODS_Y,
    OUTPUT,
    POSITIONS,
    QUOTIENT_COEFFICIENT,
    ROWS,
    ROW_NODES,
    ROW_NODE_BYTES,
    TRACE_STARTS
} from "./Memory.sol";
import {MerkleTree} from "./MerkleTree.sol";
import {QM31, VALUES_31, VALUES_ONE, VALUES_TOP} from "./QM31.sol";
import {Quotients} from "./Quotients.sol";
import {CircuitConstraints} from "./generated/CircuitConstraints.sol";
import {
    DOMAIN_LOG_SIZE,
    FOLD_STEP,
    INPUT_CLAIMED_SHARES,
    INPUT_INTERACTION,
    INPUT_PREPROCESSED,
    INPUT_PREVIOUS_SUMS,
    INPUT_TRACE,
    INTERACTION_COLUMNS,
    INTERACTION_POW_BITS,
    LOG_BLOWUP,
    LOG_LAST_LAYER,
    N_COMPONENTS,
    N_COMPOSITION,
    N_CONSTRAINT_INPUTS,
    N_FRI_LAYERS,
    N_INTERACTION,
    N_OUTPUTS,
    N_PREPROCESSED,
    N_QUERIES,
    N_SAMPLES,
    N_TRACE,
    PREPROCESSED_COLUMNS,
    PREPROCESSED_COMPONENTS,
    QUERY_POW_BITS,
    TRACE_COLUMNS,
    TRACE_LOG_SIZE
} from "./generated/CircuitShape.sol";

/// Verifies S-two proofs, over Keccak-256, that one circuit accepts.
///
/// The circuit is the key given at deployment: the sizes of its components and the root of its preprocessed columns,
/// which are its gates. Parameters are constants. `crates/final-proof/src/verify.rs` is the same verifier in Rust,
/// `crates/final-proof/src/proof.rs` has the encoding, `docs/settlement-security.md` the analysis.
///
/// Calldata is read in place: `proofAt` in these functions is where the proof begins, other positions are absolute too.
/// Everything that a proof says is below 2^31-1 where it is a field element, and is used up to its last byte.
contract CircuitVerifier is ICircuitVerifier {
    /// A component cannot have 2^logSize rows.
    error ComponentSize(uint256 component, uint256 logSize);
    /// A word of the output is not below 2^31-1.
    error NonCanonicalOutput();
    /// A field element before the openings is not below 2^31-1.
    error NonCanonicalElement();
    /// Too little work was done before the lookups' randomness was drawn.
    error InteractionProofOfWork();
    /// Too little work was done before the queries were drawn.
    error QueryProofOfWork();
    /// The lookups of all components and of the output do not cancel out.
    error LookupSum();
    /// The constraints do not hold out of the domain.
    error ConstraintsNotSatisfied();
    /// The queried rows of a tree (preprocessed, trace, interaction, composition) do not belong to its commitment.
    error TraceCommitment(uint256 tree);
    /// The proof is longer or shorter than its openings.
    error ProofLength(uint256 expected, uint256 found);

    // Offsets in a proof.
    uint256 private constant INTERACTION_NONCE_AT = 24;
    uint256 private constant CLAIMED_SUMS_AT = 32;
    uint256 private constant INTERACTION_ROOT_AT = CLAIMED_SUMS_AT + 16 * N_COMPONENTS;
    uint256 private constant COMPOSITION_ROOT_AT = INTERACTION_ROOT_AT + 24;
    uint256 private constant SAMPLES_AT = COMPOSITION_ROOT_AT + 24;
    uint256 private constant FRI_ROOTS_AT = SAMPLES_AT + 16 * N_SAMPLES;
    uint256 private constant LAST_LAYER_AT = FRI_ROOTS_AT + 24 * N_FRI_LAYERS;
    uint256 private constant QUERY_NONCE_AT = LAST_LAYER_AT + (16 << LOG_LAST_LAYER);
    uint256 private constant OPENINGS_AT = QUERY_NONCE_AT + 8;

    /// Identifier of the relation between the gates' wires and their values, in S-two's circuits.
    uint256 private constant GATE_RELATION = 378353459;
    /// The wire that always carries u; the outputs' wires follow it.
    uint256 private constant U_WIRE = 2;

    /// Evaluates the constraints. Created by this contract's constructor: nobody chooses its address.
    CircuitConstraints public immutable CONSTRAINTS;
    /// The table of points; likewise.
    CirclePoints public immutable CIRCLE;
    /// The root of the preprocessed columns, 24 bytes.
    bytes32 public immutable PREPROCESSED_ROOT;
    /// Rows of each component as a power of two, a byte each, the first component in the least significant.
    uint256 public immutable COMPONENT_LOG_SIZES;
    /// The digest of the whole key.
    bytes32 public immutable KEY_DIGEST;
    /// The channel after key and preprocessed root.
    bytes32 private immutable FIRST_DIGEST;
    /// Components, and blocks of preprocessed columns, from the smallest to the largest: how leaves order columns.
    uint256 private immutable COMPONENT_ORDER;
    uint256 private immutable PREPROCESSED_ORDER;

    /// @param preprocessedRoot 24 bytes.
    /// @param componentLogSizes In the order of S-two's `ComponentList`.
    constructor(bytes24 preprocessedRoot, uint8[N_COMPONENTS] memory componentLogSizes) {
        // What every circuit has: the sizes of the lookup tables.
        uint8[N_COMPONENTS] memory fixedLogSizes = [0, 0, 0, 0, 0, 16, 20, 8, 14, 18, 16];
        bytes memory encoded;
        uint256 packed;
        uint8[N_COMPONENTS] memory blockLogSizes;
        for (uint256 component; component < N_COMPONENTS; ++component) {
            uint8 logSize = componentLogSizes[component];
            uint8 expected = fixedLogSizes[component];
            bool possible = expected == 0 ? logSize >= 4 && logSize <= TRACE_LOG_SIZE : logSize == expected;
            if (!possible) revert ComponentSize(component, logSize);
            encoded = abi.encodePacked(encoded, uint32(logSize));
            packed |= uint256(logSize) << (8 * component);
            blockLogSizes[component] = componentLogSizes[(PREPROCESSED_COMPONENTS >> (8 * component)) & 0xff];
        }
        CONSTRAINTS = new CircuitConstraints();
        CIRCLE = new CirclePoints();
        PREPROCESSED_ROOT = preprocessedRoot;
        COMPONENT_LOG_SIZES = packed;
        COMPONENT_ORDER = _ascending(componentLogSizes);
        PREPROCESSED_ORDER = _ascending(blockLogSizes);
        bytes32 digest = keccak256(
            abi.encodePacked(
                "Sidereal final proof 1",
                abi.encodePacked(
                    uint32(LOG_BLOWUP),
                    uint32(N_QUERIES),
                    uint32(QUERY_POW_BITS),
                    uint32(INTERACTION_POW_BITS),
                    uint32(FOLD_STEP),
                    uint32(LOG_LAST_LAYER),
                    uint32(N_OUTPUTS)
                ),
                encoded,
                preprocessedRoot
            )
        );
        KEY_DIGEST = digest;
        FIRST_DIGEST = keccak256(abi.encodePacked(uint8(3), digest, preprocessedRoot));
    }

    /// Indices by ascending size, equal sizes in their order, a byte each, the first in the least significant.
    function _ascending(uint8[N_COMPONENTS] memory logSizes) private pure returns (uint256 order) {
        uint256 place;
        for (uint256 logSize; logSize <= TRACE_LOG_SIZE; ++logSize) {
            for (uint256 i; i < N_COMPONENTS; ++i) {
                if (logSizes[i] == logSize) order |= i << (8 * place++);
            }
        }
    }

    /// @inheritdoc ICircuitVerifier
    function verify(bytes32 output, bytes calldata proof) external view {
        uint256 proofAt = _start(proof);
        _replay(output, proofAt);
        _check(proofAt, proof.length);
    }

    /// Everything but the transcript, whose randomness is in memory.
    function _check(uint256 proofAt, uint256 length) internal view {
        _arrange(proofAt);
        _checkLookups(proofAt);
        _checkConstraints(proofAt);
        uint256 end = _checkRows(proofAt);
        Quotients.prepare(proofAt + SAMPLES_AT, COMPONENT_LOG_SIZES);
        Quotients.evaluate();
        end = _checkFri(proofAt, end);
        if (end - proofAt != length) revert ProofLength(end - proofAt, length);
    }

    /// Takes all memory that is needed, and returns where the proof is.
    function _start(bytes calldata proof) internal view returns (uint256 proofAt) {
        if (proof.length < OPENINGS_AT) revert ProofLength(OPENINGS_AT, proof.length);
        uint256 free;
        assembly {
            free := mload(0x40)
            proofAt := proof.offset
            mstore(0x40, MEMORY_END)
        }
        // What Memory.sol lays out begins where Solidity's own memory ends. Nothing may have been allocated before.
        assert(free == CHANNEL);
        Circle.load(CIRCLE);
    }

    /// Replays the conversation: all randomness, both proofs of work, the queries.
    function _replay(bytes32 output, uint256 proofAt) internal view {
        _requireCanonical(proofAt + CLAIMED_SUMS_AT, 16 * N_COMPONENTS);
        _requireCanonical(proofAt + SAMPLES_AT, 16 * N_SAMPLES);
        _requireCanonical(proofAt + LAST_LAYER_AT, 16 << LOG_LAST_LAYER);

        bytes32 digest = KeccakChannel.mixWord(FIRST_DIGEST, _readOutput(output));
        digest = KeccakChannel.mixRoot(digest, _bytes32(proofAt));
        uint256 nonce = uint256(_bytes32(proofAt + INTERACTION_NONCE_AT)) >> 192;
        if (!KeccakChannel.workDone(digest, INTERACTION_POW_BITS, nonce)) revert InteractionProofOfWork();
        digest = KeccakChannel.mixU64(digest, nonce);
        _store(INPUTS, KeccakChannel.drawElement(digest, 0));
        _store(INPUTS + 0x20, KeccakChannel.drawElement(digest, 1));

        digest = KeccakChannel.mixFelts(digest, proofAt + CLAIMED_SUMS_AT, 16 * N_COMPONENTS);
        digest = KeccakChannel.mixRoot(digest, _bytes32(proofAt + INTERACTION_ROOT_AT));
        _store(INPUTS + 0x40, KeccakChannel.drawElement(digest, 0));

        digest = KeccakChannel.mixRoot(digest, _bytes32(proofAt + COMPOSITION_ROOT_AT));
        _storePoint(KeccakChannel.drawElement(digest, 0));

        digest = KeccakChannel.mixFelts(digest, proofAt + SAMPLES_AT, 16 * N_SAMPLES);
        _store(QUOTIENT_COEFFICIENT, KeccakChannel.drawElement(digest, 0));
        for (uint256 layer; layer < N_FRI_LAYERS; ++layer) {
            digest = KeccakChannel.mixRoot(digest, _bytes32(proofAt + FRI_ROOTS_AT + 24 * layer));
            _store(FOLDING_COEFFICIENTS + 0x20 * layer, KeccakChannel.drawElement(digest, 0));
        }
        digest = KeccakChannel.mixFelts(digest, proofAt + LAST_LAYER_AT, 16 << LOG_LAST_LAYER);

        nonce = uint256(_bytes32(proofAt + QUERY_NONCE_AT)) >> 192;
        if (!KeccakChannel.workDone(digest, QUERY_POW_BITS, nonce)) revert QueryProofOfWork();
        _drawQueries(KeccakChannel.mixU64(digest, nonce));
    }

    /// The output's words, big endian, which must be below 2^31-1.
    function _readOutput(bytes32 output) private pure returns (uint256 words) {
        uint256 halves = uint256(0x00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff);
        words = ((uint256(output) & halves) << 8) | ((uint256(output) >> 8) & halves);
        halves = uint256(0x0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff);
        words = ((words & halves) << 16) | ((words >> 16) & halves);
        unchecked {
            if ((words | ((words & VALUES_31) + VALUES_ONE)) & VALUES_TOP != 0) revert NonCanonicalOutput();
        }
        _store(OUTPUT, words);
    }

    /// That all of the four-byte values in calldata are below 2^31-1.
    function _requireCanonical(uint256 from, uint256 length) private pure {
        uint256 flags;
        assembly {
            let end := add(from, length)
            for {} lt(add(from, 31), end) { from := add(from, 32) } {
                let values := calldataload(from)
                flags := or(flags, or(values, add(and(values, VALUES_31), VALUES_ONE)))
            }
            if lt(from, end) {
                let values := and(calldataload(from), not(shr(shl(3, sub(end, from)), not(0))))
                flags := or(flags, or(values, add(and(values, VALUES_31), VALUES_ONE)))
            }
        }
        if (flags & VALUES_TOP != 0) revert NonCanonicalElement();
    }

    /// The point of the circle with the parameter t: `((1 - t^2) / (1 + t^2), 2t / (1 + t^2))`.
    function _storePoint(uint256 t) private pure {
        uint256 square = QM31.mul(t, t);
        uint256 denominator = QM31.add(1, square);
        if (QM31.isZero(denominator)) revert Circle.DegenerateRandomness();
        uint256 inverse = QM31.inverse(denominator);
        _store(OODS_X, QM31.mul(QM31.sub(1, square), inverse));
        _store(OODS_Y, QM31.mul(QM31.add(t, t), inverse));
    }

    /// Draws the queries, eight from a digest, and sorts them without repetition.
    function _drawQueries(bytes32 digest) private pure {
        uint256 n;
        unchecked {
            uint256 drawn;
            for (uint256 query; query < N_QUERIES; ++query) {
                if (query & 7 == 0) drawn = KeccakChannel.draw(digest, query >> 3);
                uint256 position = (drawn >> 224) & ((1 << DOMAIN_LOG_SIZE) - 1);
                drawn <<= 32;
                n = _insert(position, n);
            }
        }
        _store(N_POSITIONS, n);
    }

    function _insert(uint256 position, uint256 n) private pure returns (uint256) {
        assembly {
            let place := add(POSITIONS, shl(5, n))
            // The first place of which all before are smaller.
            for {} gt(place, POSITIONS) { place := sub(place, 0x20) } {
                if lt(mload(sub(place, 0x20)), position) { break }
            }
            let end := add(POSITIONS, shl(5, n))
            if or(eq(place, end), iszero(eq(mload(place), position))) {
                mcopy(add(place, 0x20), place, sub(end, place))
                mstore(place, position)
                n := add(n, 1)
            }
        }
        return n;
    }

    /// Arranges samples and claims as the constraints take them, and the columns of the leaves.
    function _arrange(uint256 proofAt) internal view {
        uint256 sample = proofAt + SAMPLES_AT;
        unchecked {
            // Preprocessed columns come by size and go by component.
            for (uint256 place; place < N_COMPONENTS; ++place) {
                uint256 columnBlock = (PREPROCESSED_ORDER >> (8 * place)) & 0xff;
                uint256 first;
                for (uint256 i; i < columnBlock; ++i) {
                    first += (PREPROCESSED_COLUMNS >> (8 * i)) & 0xff;
                }
                uint256 columns = (PREPROCESSED_COLUMNS >> (8 * columnBlock)) & 0xff;
                sample = _readSamples(sample, INPUTS + 0x20 * (INPUT_PREPROCESSED + first), columns);
            }
            sample = _readSamples(sample, INPUTS + 0x20 * INPUT_TRACE, N_TRACE);
            uint256 to = INPUTS + 0x20 * INPUT_INTERACTION;
            for (uint256 component; component < N_COMPONENTS; ++component) {
                for (uint256 i = 4; i < (INTERACTION_COLUMNS >> (8 * component)) & 0xff; i += 4) {
                    _store(to, _combine(sample, 16));
                    sample += 64;
                    to += 0x20;
                }
                _store(INPUTS + 0x20 * (INPUT_PREVIOUS_SUMS + component), _combine(sample, 32));
                _store(to, _combine(sample + 16, 32));
                sample += 128;
                to += 0x20;

                // 2^31 is 1.
                uint256 share = 1 << (31 - ((COMPONENT_LOG_SIZES >> (8 * component)) & 0xff));
                uint256 claimed = _element(proofAt + CLAIMED_SUMS_AT + 16 * component);
                _store(INPUTS + 0x20 * (INPUT_CLAIMED_SHARES + component), QM31.scale(claimed, share));
            }
            uint256 trace;
            uint256 interaction;
            for (uint256 place; place < N_COMPONENTS; ++place) {
                uint256 component = (COMPONENT_ORDER >> (8 * place)) & 0xff;
                _store(TRACE_STARTS + 0x20 * component, trace);
                _store(INTERACTION_STARTS + 0x20 * component, interaction);
                trace += (TRACE_COLUMNS >> (8 * component)) & 0xff;
                interaction += (INTERACTION_COLUMNS >> (8 * component)) & 0xff;
            }
        }
    }

    function _readSamples(uint256 sample, uint256 to, uint256 n) private pure returns (uint256) {
        unchecked {
            for (uint256 end = to + 0x20 * n; to < end; to += 0x20) {
                _store(to, _element(sample));
                sample += 16;
            }
        }
        return sample;
    }

    /// Four elements in calldata, `stride` bytes apart, as coefficients of 1, i, u, iu.
    function _combine(uint256 from, uint256 stride) private pure returns (uint256) {
        unchecked {
            return QM31.combine(
                uint256(_bytes32(from)) >> 128,
                uint256(_bytes32(from + stride)) >> 128,
                uint256(_bytes32(from + 2 * stride)) >> 128,
                uint256(_bytes32(from + 3 * stride)) >> 128
            );
        }
    }

    /// `sum of claims + sum over public wires of 1 / d = 0`, where d combines the wire and its value; without division,
    /// for the wires' d, e, f: `S def + ef + df + de = 0`, and none of them 0.
    function _checkLookups(uint256 proofAt) internal pure {
        uint256 claims;
        unchecked {
            for (uint256 component; component < N_COMPONENTS; ++component) {
                claims = QM31.add(claims, _element(proofAt + CLAIMED_SUMS_AT + 16 * component));
            }
        }
        uint256 words = _load(OUTPUT);
        uint256 d = _combineWire(U_WIRE, 1 << 32);
        uint256 e = _combineWire(U_WIRE + 1, words >> 128);
        uint256 f = _combineWire(U_WIRE + 2, words & type(uint128).max);
        uint256 ef = QM31.mul(e, f);
        uint256 product = QM31.mul(d, ef);
        if (QM31.isZero(product)) revert Circle.DegenerateRandomness();
        uint256 sum = QM31.add(QM31.mul(claims, product), QM31.add(ef, QM31.mul(d, QM31.add(e, f))));
        if (!QM31.isZero(sum)) revert LookupSum();
    }

    /// `relation + alpha wire + alpha^2 a + alpha^3 b + alpha^4 c + alpha^5 d - z` for the value `a + bi + cu + d iu`.
    function _combineWire(uint256 wire, uint256 value) private pure returns (uint256 combined) {
        uint256 alpha = _load(INPUTS + 0x20);
        combined = QM31.sub(GATE_RELATION, _load(INPUTS));
        combined = QM31.add(combined, QM31.scale(alpha, wire));
        uint256 power = alpha;
        value <<= 128;
        unchecked {
            for (uint256 i; i < 4; ++i) {
                power = QM31.mul(power, alpha);
                combined = QM31.add(combined, QM31.scale(power, value >> 224));
                value <<= 32;
            }
        }
    }

    /// The constraints, combined, are the composition polynomial times the vanishing polynomial of the trace's domain,
    /// x doubled 19 times, by which the composition polynomial's halves differ too.
    function _checkConstraints(uint256 proofAt) internal view {
        uint256 vanishing = _load(OODS_X);
        unchecked {
            for (uint256 i = 1; i < TRACE_LOG_SIZE; ++i) {
                uint256 square = QM31.mul(vanishing, vanishing);
                vanishing = QM31.sub(QM31.add(square, square), 1);
            }
        }
        if (QM31.isZero(vanishing)) revert Circle.DegenerateRandomness();
        uint256 sample = proofAt + SAMPLES_AT + 16 * (N_SAMPLES - N_COMPOSITION);
        uint256 composition = QM31.add(_combine(sample, 16), QM31.mul(vanishing, _combine(sample + 64, 16)));
        uint256 combined = _evaluateConstraints();
        if (!QM31.isZero(QM31.sub(combined, QM31.mul(composition, vanishing)))) revert ConstraintsNotSatisfied();
    }

    function _evaluateConstraints() private view returns (uint256 combined) {
        address constraints = address(CONSTRAINTS);
        uint256 selector = uint32(CircuitConstraints.evaluate.selector);
        bool success;
        assembly {
            mstore(sub(INPUTS, 0x20), selector)
            success := staticcall(gas(), constraints, sub(INPUTS, 4), add(4, mul(0x20, N_CONSTRAINT_INPUTS)), 0, 0x20)
            success := and(success, eq(returndatasize(), 0x20))
            combined := mload(0)
        }
        if (!success) revert ConstraintsNotSatisfied();
    }

    /// The queried rows belong to the four trees. Returns where the openings of FRI begin.
    function _checkRows(uint256 proofAt) internal view returns (uint256 end) {
        uint256 row = proofAt + OPENINGS_AT;
        _store(ROWS, row);
        uint256 n = _load(N_POSITIONS);
        unchecked {
            uint256 node = ROW_NODES;
            for (uint256 query; query < n; ++query) {
                _store(node, _load(POSITIONS + 0x20 * query));
                _store(node + 0x20, MerkleTree.leaf(row, 4 * N_PREPROCESSED));
                row += 4 * N_PREPROCESSED;
                _store(node + 0x40, MerkleTree.leaf(row, 4 * N_TRACE));
                row += 4 * N_TRACE;
                _store(node + 0x60, MerkleTree.leaf(row, 4 * N_INTERACTION));
                row += 4 * N_INTERACTION;
                _store(node + 0x80, MerkleTree.leaf(row, 4 * N_COMPOSITION));
                row += 4 * N_COMPOSITION;
                node += ROW_NODE_BYTES;
            }
        }
        end = MerkleTree.rowRoots(n, DOMAIN_LOG_SIZE, row);
        _requireRoot(0, PREPROCESSED_ROOT);
        _requireRoot(1, _bytes32(proofAt));
        _requireRoot(2, _bytes32(proofAt + INTERACTION_ROOT_AT));
        _requireRoot(3, _bytes32(proofAt + COMPOSITION_ROOT_AT));
    }

    function _requireRoot(uint256 tree, bytes32 expected) private pure {
        if (_load(ROW_NODES + 0x20 + 0x20 * tree) != uint256(expected) & MerkleTree.HASH) revert TraceCommitment(tree);
    }

    /// The quotients are of low degree. Returns where the proof ends.
    function _checkFri(uint256 proofAt, uint256 openings) internal pure returns (uint256 end) {
        uint256 n;
        (n, end) = Fri.foldLayers(_load(N_POSITIONS), proofAt + FRI_ROOTS_AT, openings);
        Fri.checkLastLayer(n, proofAt + LAST_LAYER_AT);
    }

    function _element(uint256 from) private pure returns (uint256) {
        return QM31.read(uint256(_bytes32(from)) >> 128);
    }

    function _bytes32(uint256 from) private pure returns (bytes32 word) {
        assembly {
            word := calldataload(from)
        }
    }

    function _load(uint256 from) private pure returns (uint256 word) {
        assembly {
            word := mload(from)
        }
    }

    function _store(uint256 to, uint256 word) private pure {
        assembly {
            mstore(to, word)
        }
    }
}
