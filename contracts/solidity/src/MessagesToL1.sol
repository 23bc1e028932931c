// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// Messages that L2 contracts have sent to L1, kept until their receivers take them. Names, events and the messages'
/// hashes are those of Starknet's core contract.
abstract contract MessagesToL1 {
    /// A message reaches beyond the messages' part of the output.
    error MessageTruncated(uint256 index);
    /// A message's receiver is no address.
    error MessageReceiver(uint256 index, uint256 found);
    /// Nobody has sent this message, or it was taken before.
    error NoSuchMessage(bytes32 messageHash);

    /// A message to L1 became consumable.
    event LogMessageToL1(uint256 indexed fromAddress, address indexed toAddress, uint256[] payload);
    /// Its receiver has taken a message.
    event ConsumedMessageToL1(uint256 indexed fromAddress, address indexed toAddress, uint256[] payload);

    /// @custom:storage-location erc7201:sidereal.messages
    struct MessageStorage {
        /// How many times each message was sent and not taken, by its hash.
        mapping(bytes32 messageHash => uint256) toL1;
    }

    /// ERC-7201's place for "sidereal.messages".
    bytes32 private constant STORAGE_LOCATION = 0xccb92d35edfe8b6551a253aff1d5df83159df93fd979dfef3cd7e2d713a2c500;

    /// Sender, receiver and length of the payload.
    uint256 private constant HEADER_FELTS = 3;

    /// How many times a message was sent and not taken yet.
    function l2ToL1Messages(bytes32 messageHash) external view returns (uint256) {
        return messageStorage().toL1[messageHash];
    }

    /// Takes a message that the L2 contract `fromAddress` has sent to the caller. Returns its hash.
    function consumeMessageFromL2(uint256 fromAddress, uint256[] calldata payload) external returns (bytes32) {
        bytes32 messageHash =
            keccak256(abi.encodePacked(fromAddress, uint256(uint160(msg.sender)), payload.length, payload));
        MessageStorage storage messages = messageStorage();
        uint256 count = messages.toL1[messageHash];
        if (count == 0) revert NoSuchMessage(messageHash);
        messages.toL1[messageHash] = count - 1;
        emit ConsumedMessageToL1(fromAddress, msg.sender, payload);
        return messageHash;
    }

    /// Records the messages in `output[start..end]`, which they fill exactly.
    function recordMessages(uint256[] calldata output, uint256 start, uint256 end) internal {
        MessageStorage storage messages = messageStorage();
        while (start < end) {
            if (end - start < HEADER_FELTS) revert MessageTruncated(start);
            uint256 length = output[start + 2];
            uint256 payload = start + HEADER_FELTS;
            if (length > end - payload) revert MessageTruncated(start);
            uint256 receiver = output[start + 1];
            if (receiver > type(uint160).max) revert MessageReceiver(start, receiver);
            uint256 next = payload + length;
            ++messages.toL1[keccak256(abi.encodePacked(output[start:next]))];
            // The line above has checked that it is an address.
            // forge-lint: disable-next-line(unsafe-typecast)
            emit LogMessageToL1(output[start], address(uint160(receiver)), output[payload:next]);
            start = next;
        }
    }

    function messageStorage() private pure returns (MessageStorage storage messages) {
        bytes32 location = STORAGE_LOCATION;
        assembly ("memory-safe") {
            messages.slot := location
        }
    }
}
