// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Blake2s} from "../src/Blake2s.sol";
import {Test} from "./support/Test.sol";

/// Blake2s against RFC 7693, Python's hashlib and the vectors of starknet-types-core: the expected values are in
/// fixtures/blake2s.json, whose generator shares no code with the library.
contract Blake2sTest is Test {
    string private vectors;

    function setUp() public {
        vectors = vm.readFile("test/fixtures/blake2s.json");
    }

    /// Blake2s-256 of any bytes, by way of the words that the library works on.
    function hash(bytes memory message, uint256 length) private pure returns (bytes32) {
        uint256 buffer = Blake2s.newBuffer();
        for (uint256 i = 0; i < length; i += 32) {
            bytes32 word;
            assembly ("memory-safe") {
                word := mload(add(add(message, 0x20), i))
            }
            // The order of bytes in each word of 32 bits is turned around; what is behind the end is cleared.
            if (length - i < 32) word &= ~bytes32(type(uint256).max >> (8 * (length - i)));
            word = swapBytesOfWords(word);
            assembly ("memory-safe") {
                mstore(add(buffer, i), word)
            }
        }
        return Blake2s.toBytes(Blake2s.digest(buffer, length));
    }

    function swapBytesOfWords(bytes32 words) private pure returns (bytes32) {
        bytes memory swapped = new bytes(32);
        for (uint256 i = 0; i < 32; ++i) {
            swapped[i] = words[i ^ 3];
        }
        return bytes32(swapped);
    }

    function hashFelts(uint256[] memory head, uint256[] calldata tail) external pure returns (uint256) {
        return Blake2s.hashFelts(head, tail);
    }

    /// Appendix B of the RFC.
    function test_rfc_7693() public pure {
        vm.assertEq(hash("abc", 3), 0x508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982);
    }

    /// Every length from nothing to beyond four blocks, whose ends and beginnings fall everywhere in a word.
    function test_digests_of_every_length_equal_hashlib() public view {
        bytes memory message = vm.parseJsonBytes(vectors, ".message");
        bytes32[] memory digests = vm.parseJsonBytes32Array(vectors, ".digests");
        vm.assertEq(digests.length, message.length + 1);
        for (uint256 length = 0; length < digests.length; ++length) {
            vm.assertEq(hash(message, length), digests[length], vm.toString(length));
        }
    }

    /// Small and big felts in every mixture, and nothing at all.
    function test_hashes_of_felts_equal_starknet_types_core() public view {
        string memory last;
        for (uint256 i = 0; i < 18; ++i) {
            last = string.concat(".lists[", vm.toString(i), "]");
            uint256[] memory felts = vm.parseJsonUintArray(vectors, string.concat(last, ".felts"));
            uint256 expected = vm.parseJsonUint(vectors, string.concat(last, ".hash"));
            vm.assertEq(this.hashFelts(new uint256[](0), felts), expected, last);
            vm.assertEq(this.hashFelts(felts, new uint256[](0)), expected, last);
        }
    }

    function test_felts_must_be_below_the_prime() public {
        uint256[] memory felts = new uint256[](3);
        felts[1] = Blake2s.FELT_PRIME - 1;
        this.hashFelts(felts, felts);
        uint256[4] memory wrong = [Blake2s.FELT_PRIME, Blake2s.FELT_PRIME + 1, 1 << 255, type(uint256).max];
        for (uint256 i = 0; i < wrong.length; ++i) {
            felts[1] = wrong[i];
            vm.expectRevert(abi.encodeWithSelector(Blake2s.NotCanonical.selector, wrong[i]));
            this.hashFelts(new uint256[](0), felts);
            vm.expectRevert(abi.encodeWithSelector(Blake2s.NotCanonical.selector, wrong[i]));
            this.hashFelts(felts, new uint256[](0));
        }
    }

    function test_hashes_with_words_of_31_bits_equal_hashlib() public view {
        uint256[] memory values = vm.parseJsonUintArray(vectors, ".values");
        vm.assertEq(Blake2s.hashPair(values[0], values[1]), vm.parseJsonUint(vectors, ".pair"));
        vm.assertEq(Blake2s.hashQuad(values[0], values[1], values[2], values[3]), vm.parseJsonUint(vectors, ".quad"));
        uint256[] memory felts = vm.parseJsonUintArray(vectors, ".felts");
        uint256[] memory hashes = vm.parseJsonUintArray(vectors, ".limbs");
        vm.assertEq(felts.length, 8);
        for (uint256 i = 0; i < felts.length; ++i) {
            vm.assertEq(Blake2s.hashLimbs(felts[i]), hashes[i], vm.toString(i));
        }
    }

    function reduceSlowly(uint256 hash_) private pure returns (uint256 reduced) {
        for (uint256 i = 0; i < 256; i += 32) {
            reduced |= (((hash_ >> i) & 0xffffffff) % (2 ** 31 - 1)) << i;
        }
    }

    function test_fuzz_words_are_reduced_one_by_one(uint256 hash_) public pure {
        vm.assertEq(Blake2s.reduceWords(hash_), reduceSlowly(hash_));
        vm.assertEq(Blake2s.isReduced(hash_) ? 1 : 0, reduceSlowly(hash_) == hash_ ? 1 : uint256(0));
        vm.assertTrue(Blake2s.isReduced(Blake2s.reduceWords(hash_)));
    }

    /// The words around the modulus and its double, each beside each, in every place.
    function test_words_at_the_edges_are_reduced() public pure {
        uint256[8] memory edges =
            [uint256(0), 1, 2 ** 31 - 2, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 3, 2 ** 32 - 2, 2 ** 32 - 1];
        for (uint256 i = 0; i < 64; ++i) {
            for (uint256 place = 0; place < 8; ++place) {
                uint256 next = (place + 1) % 8;
                uint256 words = (edges[i % 8] << (32 * place)) | (edges[i / 8] << (32 * next));
                vm.assertEq(Blake2s.reduceWords(words), reduceSlowly(words));
            }
        }
    }

    /// The bytes of a little endian integer: both ends, and all of them by turning them back.
    function test_fuzz_bytes_are_little_endian(uint256 value) public pure {
        bytes32 swapped = Blake2s.toBytes(value);
        for (uint256 i = 0; i < 32; ++i) {
            vm.assertEq(uint256(uint8(swapped[i])), (value >> (8 * i)) & 0xff);
        }
    }

    /// What lies in memory below the message, Solidity's own words included, is as it was before.
    function test_memory_is_put_back() public pure {
        bytes memory here = "what was allocated before the hash";
        uint256[3] memory before;
        uint256[3] memory then_;
        assembly ("memory-safe") {
            mstore(before, mload(0x40))
            mstore(add(before, 0x20), mload(0x60))
        }
        before[2] = uint256(keccak256(here));
        hash("abc", 3);
        Blake2s.hashPair(1, 2);
        assembly ("memory-safe") {
            mstore(then_, mload(0x40))
            mstore(add(then_, 0x20), mload(0x60))
        }
        then_[2] = uint256(keccak256(here));
        vm.assertEq(then_[1], 0);
        vm.assertEq(before[2], then_[2]);
        vm.assertTrue(before[0] <= then_[0]);
        vm.assertEq(keccak256("what was allocated before the hash"), keccak256(here));
    }

    /// Printed with -vv.
    function test_gas_of_a_compression() public {
        uint256 buffer = Blake2s.newBuffer();
        Blake2s.digest(buffer, 64 * 11);
        uint256 before = gasleft();
        Blake2s.digest(buffer, 64);
        uint256 one = before - gasleft();
        before = gasleft();
        Blake2s.digest(buffer, 64 * 11);
        uint256 eleven = before - gasleft();
        emit log_named_uint("gas of a compression", (eleven - one) / 10);
        emit log_named_uint("gas around them", one - (eleven - one) / 10);
        vm.assertLt((eleven - one) / 10, 10_000);
    }
}
