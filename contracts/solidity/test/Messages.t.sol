// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AggregatedOutput} from "../src/AggregatedOutput.sol";
import {MessagesToL1} from "../src/MessagesToL1.sol";
import {RollupTest} from "./support/RollupTest.sol";

/// Messages to L1: what an update makes of them, and how their receivers take them.
contract MessagesTest is RollupTest {
    uint256 private constant LENGTH = AggregatedOutput.COMMITMENTS + 4;

    /// The update of one block, with other messages and the claim that goes with them.
    function withMessages(uint256[] memory messages) private view returns (Update memory update) {
        update = one;
        uint256[] memory output = new uint256[](one.output.length + messages.length);
        for (uint256 i = 0; i < output.length; ++i) {
            if (i < LENGTH) output[i] = one.output[i];
            else if (i == LENGTH) output[i] = messages.length;
            else if (i <= LENGTH + messages.length) output[i] = messages[i - LENGTH - 1];
            else output[i] = one.output[i - messages.length];
        }
        update.output = output;
        update.claim = this.claimOf(output, system);
    }

    function message(uint256 from, uint256 to, uint256[] memory payload) private pure returns (uint256[] memory felts) {
        felts = new uint256[](3 + payload.length);
        felts[0] = from;
        felts[1] = to;
        felts[2] = payload.length;
        for (uint256 i = 0; i < payload.length; ++i) {
            felts[3 + i] = payload[i];
        }
    }

    /// Starknet's hash of a message to L1.
    function hash(uint256 from, address to, uint256[] memory payload) private pure returns (bytes32) {
        return keccak256(abi.encodePacked(from, uint256(uint160(to)), payload.length, payload));
    }

    /// The fixture's: one to 0xb0b with two felts, and one to 0xa11ce with none.
    function test_messages_of_an_update_are_logged_and_recorded() public {
        settle(one);
        uint256 first = AggregatedOutput.COMMITMENTS + 24 + 1;
        uint256[] memory payload = new uint256[](2);
        (payload[0], payload[1]) = (many.output[first + 3], many.output[first + 4]);
        uint256[] memory empty = new uint256[](0);
        prepare(many);
        vm.expectEmit();
        emit MessagesToL1.LogMessageToL1(many.output[first], address(0xb0b), payload);
        vm.expectEmit();
        emit MessagesToL1.LogMessageToL1(many.output[first + 5], address(0xa11ce), empty);
        vm.prank(OPERATOR);
        core.updateState(many.output, many.openings, many.proof);
        vm.assertEq(core.l2ToL1Messages(hash(many.output[first], address(0xb0b), payload)), 1);
        vm.assertEq(core.l2ToL1Messages(hash(many.output[first + 5], address(0xa11ce), empty)), 1);
    }

    function test_a_message_is_taken_once_by_its_receiver() public {
        uint256[] memory payload = new uint256[](2);
        (payload[0], payload[1]) = (4, 5);
        settle(withMessages(message(77, 0xb0b, payload)));
        bytes32 messageHash = hash(77, address(0xb0b), payload);

        vm.expectRevert(abi.encodeWithSelector(MessagesToL1.NoSuchMessage.selector, hash(77, OUTSIDER, payload)));
        vm.prank(OUTSIDER);
        core.consumeMessageFromL2(77, payload);

        vm.expectEmit();
        emit MessagesToL1.ConsumedMessageToL1(77, address(0xb0b), payload);
        vm.prank(address(0xb0b));
        vm.assertEq(core.consumeMessageFromL2(77, payload), messageHash);
        vm.assertEq(core.l2ToL1Messages(messageHash), 0);

        vm.expectRevert(abi.encodeWithSelector(MessagesToL1.NoSuchMessage.selector, messageHash));
        vm.prank(address(0xb0b));
        core.consumeMessageFromL2(77, payload);
    }

    function test_equal_messages_count() public {
        uint256[] memory payload = new uint256[](0);
        uint256[] memory twice = new uint256[](6);
        (twice[0], twice[1], twice[3], twice[4]) = (77, 0xb0b, 77, 0xb0b);
        settle(withMessages(twice));
        bytes32 messageHash = hash(77, address(0xb0b), payload);
        vm.assertEq(core.l2ToL1Messages(messageHash), 2);
        vm.prank(address(0xb0b));
        core.consumeMessageFromL2(77, payload);
        vm.assertEq(core.l2ToL1Messages(messageHash), 1);
    }

    function test_another_payload_or_sender_is_no_message() public {
        uint256[] memory payload = new uint256[](1);
        payload[0] = 4;
        settle(withMessages(message(77, 0xb0b, payload)));
        vm.expectPartialRevert(MessagesToL1.NoSuchMessage.selector);
        vm.prank(address(0xb0b));
        core.consumeMessageFromL2(78, payload);
        payload[0] = 5;
        vm.expectPartialRevert(MessagesToL1.NoSuchMessage.selector);
        vm.prank(address(0xb0b));
        core.consumeMessageFromL2(77, payload);
    }

    function test_a_truncated_message_is_refused() public {
        uint256[] memory header = new uint256[](2);
        assertRefused(withMessages(header), abi.encodeWithSelector(MessagesToL1.MessageTruncated.selector, LENGTH + 1));
        uint256[] memory payload = new uint256[](4);
        payload[2] = 2;
        assertRefused(withMessages(payload), abi.encodeWithSelector(MessagesToL1.MessageTruncated.selector, LENGTH + 1));
        payload[2] = 1 << 250;
        assertRefused(withMessages(payload), abi.encodeWithSelector(MessagesToL1.MessageTruncated.selector, LENGTH + 1));
        // The first is whole, and the second begins where it ends.
        payload[2] = 0;
        assertRefused(withMessages(payload), abi.encodeWithSelector(MessagesToL1.MessageTruncated.selector, LENGTH + 4));
    }

    function test_a_receiver_is_an_address() public {
        uint256[] memory payload = new uint256[](0);
        uint256 receiver = uint256(type(uint160).max) + 1;
        assertRefused(
            withMessages(message(77, receiver, payload)),
            abi.encodeWithSelector(MessagesToL1.MessageReceiver.selector, LENGTH + 1, receiver)
        );
        settle(withMessages(message(77, receiver - 1, payload)));
    }

    /// Any messages: each is recorded as often as it was sent.
    function test_fuzz_all_messages_are_recorded(uint256 seed, uint8 count) public {
        count = uint8(bound(count, 0, 8));
        uint256[] memory felts = new uint256[](count * 6);
        uint256 length;
        bytes32[] memory hashes = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            uint256 random = uint256(keccak256(abi.encode(seed, i)));
            // Few different ones, so that some are equal.
            uint256[] memory payload = new uint256[](random % 4);
            uint256[] memory sent = message(random % 3, 0xb0b, payload);
            for (uint256 j = 0; j < sent.length; ++j) {
                felts[length++] = sent[j];
            }
            hashes[i] = hash(sent[0], address(0xb0b), payload);
        }
        assembly ("memory-safe") {
            mstore(felts, length)
        }
        settle(withMessages(felts));
        for (uint256 i = 0; i < count; ++i) {
            uint256 expected;
            for (uint256 j = 0; j < count; ++j) {
                if (hashes[i] == hashes[j]) ++expected;
            }
            vm.assertEq(core.l2ToL1Messages(hashes[i]), expected);
        }
    }

    /// Each message takes gas, and a transaction has only so much. With the verifier at its bound and six blobs, an update
    /// has room for 800 felts of messages, of which those without a payload are the dearest. Whoever puts blocks
    /// together must not put more into a batch: it would never be settled. Printed with -vv.
    function test_gas_of_messages() public {
        uint256 none = gasOfMessages(0, 0);
        uint256 count = 266;
        uint256 full = gasOfMessages(count, 0);
        emit log_named_uint("gas of a message without payload", (full - none) / count);
        emit log_named_uint("gas of a felt of its payload", (gasOfMessages(1, 797) - gasOfMessages(1, 0)) / 797);
        emit log_named_uint("gas of an update with 800 felts of messages, without its verifier", full);
        uint256 fiveMoreBlobs = 5 * 100_000;
        vm.assertLe(full + fiveMoreBlobs + 5_000_000, 1 << 24);
    }

    /// Of the first update with so many other messages, as a transaction, without the verifier and its proof.
    function gasOfMessages(uint256 count, uint256 payload) private returns (uint256 gas) {
        uint256 size = 3 + payload;
        uint256[] memory felts = new uint256[](count * size);
        for (uint256 i; i < count; ++i) {
            // As large as they can be: no two are the same.
            felts[i * size] = uint256(keccak256(abi.encode("sender", i))) >> 5;
            felts[i * size + 1] = uint256(keccak256(abi.encode("receiver", i))) >> 96;
            felts[i * size + 2] = payload;
            for (uint256 j; j < payload; ++j) {
                felts[i * size + 3 + j] = uint256(keccak256(abi.encode("payload", i, j))) >> 5;
            }
        }
        Update memory update = withMessages(felts);
        update.proof = "";
        core = deploy(system);
        prepare(update);
        vm.cool(address(core));
        vm.cool(address(verifier));
        vm.prank(OPERATOR);
        core.updateState(update.output, update.openings, update.proof);
        gas = 21_000 + vm.lastCallGas().gasTotalUsed;
        bytes memory data = abi.encodeCall(core.updateState, (update.output, update.openings, update.proof));
        for (uint256 i; i < data.length; ++i) {
            gas += data[i] == 0 ? 4 : 16;
        }
    }
}
