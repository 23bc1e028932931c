// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// Blake2s-256 (RFC 7693, no key) in the two forms that the proofs use.
///
/// - `hashFelts`: of field elements, to a field element. Cairo's `encode_felt252_data_and_calc_blake_hash`.
/// - `hashPair`, `hashQuad`, `hashLimbs`: every output word reduced modulo 2^31 - 1, so that a circuit over that field
///   holds it. Stwo's `Blake2sM31Hasher`.
///
/// A hash value is eight words of 32 bits; here it is the little endian integer of its 32 bytes, that is, word `i` at
/// bits `32 * i` and above.
///
/// How it is computed: the rows of the state's 4x4 matrix are four words of the EVM, each with four lanes of 64 bits
/// and a word of 32 bits in each, so that one `G` works on four columns. The words of the message lie in memory, one in
/// the last four bytes of a slot of 32 bytes whose other bytes are zero: a load that starts `8 * k` bytes into a slot
/// gets the slot's word into lane `k`, and nothing else.
library Blake2s {
    /// A felt is no number below the field's prime.
    error NotCanonical(uint256 felt);

    /// Prime of Starknet's field, 2^251 + 17 * 2^192 + 1.
    uint256 internal constant FELT_PRIME = 0x800000000000011000000000000000000000000000000000000000000000001;

    /// Felts below 2^63 are encoded in two words, the others in eight.
    uint256 private constant SMALL_FELT_BITS = 63;
    /// Tells eight words from four times two.
    uint256 private constant BIG_FELT_MARK = 1 << 255;

    /// The memory that `digest` uses below the message: 16 slots, and a word of zeros that the last loads reach into.
    uint256 private constant SLOTS_END = 0x220;

    /// Bits of a limb of a felt in S-two's circuits, and limbs of a felt.
    uint256 private constant LIMB_BITS = 9;
    uint256 private constant LIMBS = 28;

    /// Low 31 bits of eight words.
    uint256 private constant LOW_31 = 0x7fffffff7fffffff7fffffff7fffffff7fffffff7fffffff7fffffff7fffffff;
    /// The lowest bit of eight words.
    uint256 private constant ONES = 0x0000000100000001000000010000000100000001000000010000000100000001;

    /// Hash of the felts `head` and then `tail`, reduced modulo the field's prime.
    ///
    /// Reverts with `NotCanonical` if one of them is no field element.
    function hashFelts(uint256[] memory head, uint256[] calldata tail) internal pure returns (uint256) {
        uint256 buffer = newBuffer();
        uint256 end = buffer;
        for (uint256 i = 0; i < head.length; ++i) {
            end = appendFelt(end, head[i]);
        }
        for (uint256 i = 0; i < tail.length; ++i) {
            end = appendFelt(end, tail[i]);
        }
        return digest(buffer, end - buffer) % FELT_PRIME;
    }

    /// Hash of two hash values, reduced to words of 31 bits.
    function hashPair(uint256 first, uint256 second) internal pure returns (uint256) {
        uint256 buffer = newBuffer();
        appendHash(appendHash(buffer, first), second);
        return reduceWords(digest(buffer, 64));
    }

    /// Hash of four hash values, reduced to words of 31 bits.
    function hashQuad(uint256 first, uint256 second, uint256 third, uint256 fourth) internal pure returns (uint256) {
        uint256 buffer = newBuffer();
        appendHash(appendHash(appendHash(appendHash(buffer, first), second), third), fourth);
        return reduceWords(digest(buffer, 128));
    }

    /// Hash of a felt as a circuit holds it, 28 limbs of 9 bits in a word each (112 bytes), reduced to words of 31 bits.
    function hashLimbs(uint256 felt) internal pure returns (uint256) {
        uint256 buffer = newBuffer();
        for (uint256 i = 0; i < LIMBS; ++i) {
            // A later limb overwrites the zeros that follow this one.
            assembly ("memory-safe") {
                mstore(add(buffer, mul(4, i)), shl(224, and(shr(mul(LIMB_BITS, i), felt), 0x1ff)))
            }
        }
        return reduceWords(digest(buffer, 4 * LIMBS));
    }

    /// Reverts if a number is not below the field's prime.
    function checkFelt(uint256 felt) internal pure {
        if (felt >= FELT_PRIME) revert NotCanonical(felt);
    }

    /// Whether a hash value is one of words below 2^31 - 1.
    function isReduced(uint256 hash) internal pure returns (bool) {
        return reduceWords(hash) == hash;
    }

    /// The 32 bytes of a hash value.
    function toBytes(uint256 hash) internal pure returns (bytes32) {
        uint256 mask = 0x00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff;
        hash = ((hash & mask) << 8) | ((hash >> 8) & mask);
        mask = 0x0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff;
        hash = ((hash & mask) << 16) | ((hash >> 16) & mask);
        return bytes32(reverseWords(hash));
    }

    /// Where a message may be written: free memory that `digest` does not need. It stays free.
    function newBuffer() internal pure returns (uint256 buffer) {
        assembly ("memory-safe") {
            buffer := mload(0x40)
            if lt(buffer, SLOTS_END) { buffer := SLOTS_END }
        }
    }

    /// Writes the words of a felt to `end` and returns the end behind them.
    function appendFelt(uint256 end, uint256 felt) private pure returns (uint256) {
        if (felt >> SMALL_FELT_BITS == 0) {
            assembly ("memory-safe") {
                mstore(end, shl(192, felt))
            }
            return end + 8;
        }
        checkFelt(felt);
        assembly ("memory-safe") {
            mstore(end, or(felt, BIG_FELT_MARK))
        }
        return end + 32;
    }

    /// Writes the words of a hash value to `end` and returns the end behind them.
    function appendHash(uint256 end, uint256 hash) private pure returns (uint256) {
        uint256 words = reverseWords(hash);
        assembly ("memory-safe") {
            mstore(end, words)
        }
        return end + 32;
    }

    /// Turns the order of eight words of 32 bits around.
    function reverseWords(uint256 words) private pure returns (uint256) {
        uint256 mask = 0x00000000ffffffff00000000ffffffff00000000ffffffff00000000ffffffff;
        words = ((words & mask) << 32) | ((words >> 32) & mask);
        mask = 0x0000000000000000ffffffffffffffff0000000000000000ffffffffffffffff;
        words = ((words & mask) << 64) | ((words >> 64) & mask);
        return (words << 128) | (words >> 128);
    }

    /// Every word modulo 2^31 - 1, below it.
    function reduceWords(uint256 hash) internal pure returns (uint256) {
        unchecked {
            // 2^31 is 1: a word is now 2^31 at most, which leaves room for a carry into no other word.
            hash = (hash & LOW_31) + ((hash >> 31) & ONES);
            // Adding one sets bit 31 of just those that are 2^31 - 1 and 2^31, which must become 0 and 1.
            return (hash + (((hash + ONES) >> 31) & ONES)) & LOW_31;
        }
    }

    /// Blake2s-256 of the `length` bytes at `buffer`.
    ///
    /// The message's words are big endian in memory, unlike in RFC 7693, and zero behind its end in the last one. The
    /// buffer must begin as `newBuffer` says; 64 bytes behind the message are overwritten, and further free memory.
    function digest(uint256 buffer, uint256 length) internal pure returns (uint256 hash) {
        // The slots are at the very beginning of memory, where loads need no addition. What was there is saved behind
        // the message and put back at the end of this block, which is why it is not declared to be memory-safe.
        assembly {
            // One round: G on the four columns with the words `x` and `y` of the message, and on the four diagonals,
            // which the lanes of the rows b, c and d are turned into columns for, with the words `z` and `w`.
            //
            // Words of b and d are below 2^32; those of a and c are not reduced but where they meet the others, and
            // stay below 2^39 (40 and 40 additions in ten rounds). A word of 32 bits times 2^32 + 1 stands in its lane
            // twice: shifted right by r bits, the lane's lower half is the word rotated by r bits.
            function mix(a, b, c, d, x, y, z, w) -> e, f, g, h {
                let low := 0x00000000ffffffff00000000ffffffff00000000ffffffff00000000ffffffff
                e := add(add(a, b), x)
                h := and(shr(16, mul(and(xor(d, e), low), 0x100000001)), low)
                g := add(c, h)
                f := and(shr(12, mul(and(xor(b, g), low), 0x100000001)), low)
                e := add(add(e, f), y)
                h := and(shr(8, mul(and(xor(h, e), low), 0x100000001)), low)
                g := add(g, h)
                f := mul(and(xor(f, g), low), 0x100000001)
                f := and(or(shr(71, f), shl(185, f)), low)
                g := or(shr(128, g), shl(128, g))
                h := or(shr(192, h), shl(64, h))

                e := add(add(e, f), z)
                h := and(shr(16, mul(and(xor(h, e), low), 0x100000001)), low)
                g := add(g, h)
                f := and(shr(12, mul(and(xor(f, g), low), 0x100000001)), low)
                e := add(add(e, f), w)
                h := and(shr(8, mul(and(xor(h, e), low), 0x100000001)), low)
                g := add(g, h)
                f := mul(and(xor(f, g), low), 0x100000001)
                f := and(or(shr(199, f), shl(57, f)), low)
                g := or(shr(128, g), shl(128, g))
                h := or(shl(192, h), shr(64, h))
            }

            // Spreads eight words of the message over the eight slots from `slot` on.
            function spread(words, slot) {
                mstore(slot, shr(224, words))
                mstore(add(slot, 0x20), and(shr(192, words), 0xffffffff))
                mstore(add(slot, 0x40), and(shr(160, words), 0xffffffff))
                mstore(add(slot, 0x60), and(shr(128, words), 0xffffffff))
                mstore(add(slot, 0x80), and(shr(96, words), 0xffffffff))
                mstore(add(slot, 0xa0), and(shr(64, words), 0xffffffff))
                mstore(add(slot, 0xc0), and(shr(32, words), 0xffffffff))
                mstore(add(slot, 0xe0), and(words, 0xffffffff))
            }

            // The compression function: state `s` (words 0..3) and `t` (words 4..7), the message in the slots,
            // `counters` in the lanes of row d. The table of words is RFC 7693's SIGMA: the word in lane k is the
            // (2k)th or (2k + 1)th of the round's first or last eight.
            function compress(s, t, counters) -> u, v {
                let a := s
                let b := t
                let c := 0x00000000a54ff53a000000003c6ef37200000000bb67ae85000000006a09e667
                let d := xor(counters, 0x000000005be0cd19000000001f83d9ab000000009b05688c00000000510e527f)
                a, b, c, d :=
                    mix(
                    a,
                    b,
                    c,
                    d,
                    or(or(mload(0x000), mload(0x048)), or(mload(0x090), mload(0x0d8))),
                    or(or(mload(0x020), mload(0x068)), or(mload(0x0b0), mload(0x0f8))),
                    or(or(mload(0x100), mload(0x148)), or(mload(0x190), mload(0x1d8))),
                    or(or(mload(0x120), mload(0x168)), or(mload(0x1b0), mload(0x1f8)))
                )
                a, b, c, d :=
                    mix(
                    a,
                    b,
                    c,
                    d,
                    or(or(mload(0x1c0), mload(0x088)), or(mload(0x130), mload(0x1b8))),
                    or(or(mload(0x140), mload(0x108)), or(mload(0x1f0), mload(0x0d8))),
                    or(or(mload(0x020), mload(0x008)), or(mload(0x170), mload(0x0b8))),
                    or(or(mload(0x180), mload(0x048)), or(mload(0x0f0), mload(0x078)))
                )
                a, b, c, d :=
                    mix(
                    a,
                    b,
                    c,
                    d,
                    or(or(mload(0x160), mload(0x188)), or(mload(0x0b0), mload(0x1f8))),
                    or(or(mload(0x100), mload(0x008)), or(mload(0x050), mload(0x1b8))),
                    or(or(mload(0x140), mload(0x068)), or(mload(0x0f0), mload(0x138))),
                    or(or(mload(0x1c0), mload(0x0c8)), or(mload(0x030), mload(0x098)))
                )
                a, b, c, d :=
                    mix(
                    a,
                    b,
                    c,
                    d,
                    or(or(mload(0x0e0), mload(0x068)), or(mload(0x1b0), mload(0x178))),
                    or(or(mload(0x120), mload(0x028)), or(mload(0x190), mload(0x1d8))),
                    or(or(mload(0x040), mload(0x0a8)), or(mload(0x090), mload(0x1f8))),
                    or(or(mload(0x0c0), mload(0x148)), or(mload(0x010), mload(0x118)))
                )
                a, b, c, d :=
                    mix(
                    a,
                    b,
                    c,
                    d,
                    or(or(mload(0x120), mload(0x0a8)), or(mload(0x050), mload(0x158))),
                    or(or(mload(0x000), mload(0x0e8)), or(mload(0x090), mload(0x1f8))),
                    or(or(mload(0x1c0), mload(0x168)), or(mload(0x0d0), mload(0x078))),
                    or(or(mload(0x020), mload(0x188)), or(mload(0x110), mload(0x1b8)))
                )
                a, b, c, d :=
                    mix(
                    a,
                    b,
                    c,
                    d,
                    or(or(mload(0x040), mload(0x0c8)), or(mload(0x010), mload(0x118))),
                    or(or(mload(0x180), mload(0x148)), or(mload(0x170), mload(0x078))),
                    or(or(mload(0x080), mload(0x0e8)), or(mload(0x1f0), mload(0x038))),
                    or(or(mload(0x1a0), mload(0x0a8)), or(mload(0x1d0), mload(0x138)))
                )
                a, b, c, d :=
                    mix(
                    a,
                    b,
                    c,
                    d,
                    or(or(mload(0x180), mload(0x028)), or(mload(0x1d0), mload(0x098))),
                    or(or(mload(0x0a0), mload(0x1e8)), or(mload(0x1b0), mload(0x158))),
                    or(or(mload(0x000), mload(0x0c8)), or(mload(0x130), mload(0x118))),
                    or(or(mload(0x0e0), mload(0x068)), or(mload(0x050), mload(0x178)))
                )
                a, b, c, d :=
                    mix(
                    a,
                    b,
                    c,
                    d,
                    or(or(mload(0x1a0), mload(0x0e8)), or(mload(0x190), mload(0x078))),
                    or(or(mload(0x160), mload(0x1c8)), or(mload(0x030), mload(0x138))),
                    or(or(mload(0x0a0), mload(0x1e8)), or(mload(0x110), mload(0x058))),
                    or(or(mload(0x000), mload(0x088)), or(mload(0x0d0), mload(0x158)))
                )
                a, b, c, d :=
                    mix(
                    a,
                    b,
                    c,
                    d,
                    or(or(mload(0x0c0), mload(0x1c8)), or(mload(0x170), mload(0x018))),
                    or(or(mload(0x1e0), mload(0x128)), or(mload(0x070), mload(0x118))),
                    or(or(mload(0x180), mload(0x1a8)), or(mload(0x030), mload(0x158))),
                    or(or(mload(0x040), mload(0x0e8)), or(mload(0x090), mload(0x0b8)))
                )
                a, b, c, d :=
                    mix(
                    a,
                    b,
                    c,
                    d,
                    or(or(mload(0x140), mload(0x108)), or(mload(0x0f0), mload(0x038))),
                    or(or(mload(0x040), mload(0x088)), or(mload(0x0d0), mload(0x0b8))),
                    or(or(mload(0x1e0), mload(0x128)), or(mload(0x070), mload(0x1b8))),
                    or(or(mload(0x160), mload(0x1c8)), or(mload(0x190), mload(0x018)))
                )
                let low := 0x00000000ffffffff00000000ffffffff00000000ffffffff00000000ffffffff
                u := xor(s, and(xor(a, c), low))
                v := xor(t, xor(b, d))
            }

            // Lanes of 64 bits with words of 32, brought together in 128 bits.
            function pack(lanes) -> words {
                lanes := and(
                    or(lanes, shr(32, lanes)),
                    0x0000000000000000ffffffffffffffff0000000000000000ffffffffffffffff
                )
                words := and(or(lanes, shr(64, lanes)), 0xffffffffffffffffffffffffffffffff)
            }

            let end := add(buffer, and(add(length, 3), not(3)))
            mstore(end, 0)
            mstore(add(end, 0x20), 0)
            let saved := add(end, 0x40)
            mcopy(saved, 0, SLOTS_END)
            mstore(0x200, 0)

            // The initial state with the parameters: 32 bytes of digest, no key, one leaf of a tree of depth one.
            let s := 0x00000000a54ff53a000000003c6ef37200000000bb67ae85000000006b08e647
            let t := 0x000000005be0cd19000000001f83d9ab000000009b05688c00000000510e527f
            let at := buffer
            for {} gt(sub(end, at), 0x40) { at := add(at, 0x40) } {
                spread(mload(at), 0)
                spread(mload(add(at, 0x20)), 0x100)
                s, t := compress(s, t, sub(add(at, 0x40), buffer))
            }
            spread(mload(at), 0)
            spread(mload(add(at, 0x20)), 0x100)
            // The last block is marked in lane 2.
            s, t := compress(s, t, or(length, shl(128, 0xffffffff)))
            hash := or(pack(s), shl(128, pack(t)))

            mcopy(0, saved, SLOTS_END)
        }
    }
}
