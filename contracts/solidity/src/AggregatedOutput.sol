// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// Layout of the aggregator's output, in felts.
///
/// | felts              | what                                                                                     |
/// | ------------------ | ---------------------------------------------------------------------------------------- |
/// | 10                 | StarknetOS's header, with the aggregated blocks taken for one                            |
/// | z, n               | where the data polynomials are evaluated, and how many there are                         |
/// | 2n                 | their KZG commitments: low and high 192 bits of each                                     |
/// | 2n                 | their values: low and high 128 bits of each                                              |
/// | 1 + length         | messages to L1: sender, receiver, length of the payload, payload; the length is in felts |
/// | 1 + length         | messages to L2                                                                           |
/// | 6                  | roots of the wrap and merge circuits and hash of the tree: low and high 128 bits of each |
library AggregatedOutput {
    /// The output is longer or shorter than what is in it says.
    error OutputLength(uint256 found, uint256 expected);
    /// The data is in no blob, or in more than a transaction carries.
    error BlobCount(uint256 found);
    /// Messages to L2 were consumed, and this contract sends none.
    error MessagesToL2(uint256 felts);
    /// A number in two felts has one beyond its half.
    error LimbTooLarge(uint256 index, uint256 felt);

    uint256 internal constant PREVIOUS_ROOT = 0;
    uint256 internal constant NEW_ROOT = 1;
    uint256 internal constant PREVIOUS_BLOCK_NUMBER = 2;
    uint256 internal constant NEW_BLOCK_NUMBER = 3;
    uint256 internal constant PREVIOUS_BLOCK_HASH = 4;
    uint256 internal constant NEW_BLOCK_HASH = 5;
    uint256 internal constant OS_PROGRAM_HASH = 6;
    uint256 internal constant CONFIG_HASH = 7;
    uint256 internal constant USE_KZG_DA = 8;
    uint256 internal constant FULL_OUTPUT = 9;
    uint256 internal constant EVALUATION_POINT = 10;
    uint256 internal constant BLOBS = 11;
    uint256 internal constant COMMITMENTS = 12;

    /// Blobs that one transaction may carry.
    uint256 internal constant MAX_BLOBS = 6;
    uint256 private constant FELTS_PER_BLOB = 4;
    uint256 private constant TRAILER_FELTS = 6;

    /// Where the parts begin that have no fixed place.
    struct Parts {
        /// Number of blobs.
        uint256 blobs;
        /// First felt of the values.
        uint256 evaluations;
        /// First felt of the messages to L1.
        uint256 messages;
        /// First felt behind them.
        uint256 messagesEnd;
        /// First felt of the trailer.
        uint256 trailer;
    }

    /// Finds the parts of an output, which fill it exactly.
    function partsOf(uint256[] calldata output) internal pure returns (Parts memory parts) {
        // As short as an output can be: one blob, no messages.
        uint256 shortest = COMMITMENTS + FELTS_PER_BLOB + 2 + TRAILER_FELTS;
        if (output.length < shortest) revert OutputLength(output.length, shortest);
        uint256 blobs = output[BLOBS];
        if (blobs == 0 || blobs > MAX_BLOBS) revert BlobCount(blobs);

        uint256 lengthOfMessages = COMMITMENTS + FELTS_PER_BLOB * blobs;
        shortest = lengthOfMessages + 2 + TRAILER_FELTS;
        if (output.length < shortest) revert OutputLength(output.length, shortest);
        uint256 messages = output[lengthOfMessages];
        // Beyond the output, the length is no index to compute with.
        if (messages > output.length) revert OutputLength(output.length, messages);
        if (output.length < shortest + messages) revert OutputLength(output.length, shortest + messages);

        parts.blobs = blobs;
        parts.evaluations = COMMITMENTS + 2 * blobs;
        parts.messages = lengthOfMessages + 1;
        parts.messagesEnd = parts.messages + messages;
        uint256 messagesToL2 = output[parts.messagesEnd];
        if (messagesToL2 != 0) revert MessagesToL2(messagesToL2);
        if (output.length != shortest + messages) revert OutputLength(output.length, shortest + messages);
        parts.trailer = parts.messagesEnd + 1;
    }

    /// The number whose low 128 bits are felt `index` and whose high 128 bits are the next.
    function uint256At(uint256[] calldata output, uint256 index) internal pure returns (uint256) {
        return limb(output, index, 128) | (limb(output, index + 1, 128) << 128);
    }

    /// The commitment to the data polynomial of blob `blob`, a compressed point of 48 bytes.
    function commitment(uint256[] calldata output, uint256 blob) internal pure returns (bytes memory) {
        uint256 index = COMMITMENTS + 2 * blob;
        uint256 low = limb(output, index, 192);
        uint256 high = limb(output, index + 1, 192);
        // `limb` has bounded both.
        // forge-lint: disable-next-line(unsafe-typecast)
        return bytes.concat(bytes24(uint192(high)), bytes24(uint192(low)));
    }

    /// The value of the data polynomial of blob `blob`.
    function evaluation(uint256[] calldata output, Parts memory parts, uint256 blob) internal pure returns (uint256) {
        return uint256At(output, parts.evaluations + 2 * blob);
    }

    function wrapRoot(uint256[] calldata output, Parts memory parts) internal pure returns (uint256) {
        return uint256At(output, parts.trailer);
    }

    function mergeRoot(uint256[] calldata output, Parts memory parts) internal pure returns (uint256) {
        return uint256At(output, parts.trailer + 2);
    }

    /// Hash of the root of the tree in which the blocks' proofs were merged.
    function treeHash(uint256[] calldata output, Parts memory parts) internal pure returns (uint256) {
        return uint256At(output, parts.trailer + 4);
    }

    function limb(uint256[] calldata output, uint256 index, uint256 bits) private pure returns (uint256 felt) {
        felt = output[index];
        if (felt >> bits != 0) revert LimbTooLarge(index, felt);
    }
}
