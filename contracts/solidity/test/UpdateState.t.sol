// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AggregatedOutput} from "../src/AggregatedOutput.sol";
import {Blake2s} from "../src/Blake2s.sol";
import {BlobData} from "../src/BlobData.sol";
import {ProofSystem} from "../src/ProofSystem.sol";
import {RollupCore} from "../src/RollupCore.sol";
import {OneClaimVerifier} from "./support/OneClaimVerifier.sol";
import {RollupTest} from "./support/RollupTest.sol";

/// `updateState`: what it does with good updates, and each of its checks, broken alone.
contract UpdateStateTest is RollupTest {
    uint256 private constant MESSAGES_LENGTH = AggregatedOutput.COMMITMENTS + 4;
    uint256 private constant TRAILER = MESSAGES_LENGTH + 2;

    // --- Good updates ---

    function test_a_block_and_then_many_are_settled() public {
        assertState(genesis.root, genesis.blockNumber, genesis.blockHash);
        vm.warp(DEPLOYED_AT + 100);
        settle(one);
        assertState(one.output[1], 8, one.output[5]);
        vm.assertEq(core.openFrom(), DEPLOYED_AT + 100 + SILENCE);
        settle(many);
        assertState(many.output[1], 72, many.output[5]);
    }

    function test_an_update_tells_indexers_everything() public {
        prepare(one);
        vm.expectEmit();
        emit RollupCore.StateUpdated(
            7, 8, OPERATOR, genesis.root, one.output[1], genesis.blockHash, one.output[5], one.blobs
        );
        vm.prank(OPERATOR);
        core.updateState(one.output, one.openings, one.proof);
    }

    // --- It begins where the last one ended ---

    function test_an_update_is_not_settled_twice() public {
        settle(one);
        assertRefused(one, abi.encodeWithSelector(RollupCore.PreviousBlockNumber.selector, 7, 8));
        settle(many);
        assertRefused(many, abi.encodeWithSelector(RollupCore.PreviousBlockNumber.selector, 8, 72));
        assertRefused(one, abi.encodeWithSelector(RollupCore.PreviousBlockNumber.selector, 7, 72));
    }

    function test_a_gap_or_the_wrong_order_is_refused() public {
        assertRefused(many, abi.encodeWithSelector(RollupCore.PreviousBlockNumber.selector, 8, 7));
    }

    function test_another_block_of_that_number_is_refused() public {
        one.output[AggregatedOutput.PREVIOUS_BLOCK_HASH] ^= 1;
        assertRefused(
            one, abi.encodeWithSelector(RollupCore.PreviousBlockHash.selector, genesis.blockHash ^ 1, genesis.blockHash)
        );
    }

    function test_another_state_is_refused() public {
        one.output[AggregatedOutput.PREVIOUS_ROOT] ^= 1;
        assertRefused(one, abi.encodeWithSelector(RollupCore.PreviousRoot.selector, genesis.root ^ 1, genesis.root));
    }

    function test_the_block_number_must_grow() public {
        for (uint256 number = 0; number <= 7; ++number) {
            one.output[AggregatedOutput.NEW_BLOCK_NUMBER] = number;
            assertRefused(one, abi.encodeWithSelector(RollupCore.BlockNumberNotGreater.selector, number, 7));
        }
    }

    function test_the_block_number_has_64_bits() public {
        one.output[AggregatedOutput.NEW_BLOCK_NUMBER] = 1 << 64;
        assertRefused(one, abi.encodeWithSelector(RollupCore.BlockNumberTooLarge.selector, 1 << 64));
        // One less passes that check.
        one.output[AggregatedOutput.NEW_BLOCK_NUMBER] -= 1;
        assertRefusedByVerifier(one);
    }

    // --- It is about what is pinned ---

    function test_another_program_than_starknet_os_is_refused() public {
        one.output[AggregatedOutput.OS_PROGRAM_HASH] ^= 1;
        assertRefused(
            one,
            abi.encodeWithSelector(RollupCore.OsProgramHash.selector, system.osProgramHash ^ 1, system.osProgramHash)
        );
    }

    function test_another_chain_is_refused() public {
        one.output[AggregatedOutput.CONFIG_HASH] ^= 1;
        assertRefused(
            one, abi.encodeWithSelector(RollupCore.ConfigHash.selector, system.configHash ^ 1, system.configHash)
        );
    }

    function test_data_outside_blobs_is_refused() public {
        one.output[AggregatedOutput.USE_KZG_DA] = 0;
        assertRefused(one, abi.encodeWithSelector(RollupCore.DataNotInBlobs.selector, 0));
        one.output[AggregatedOutput.USE_KZG_DA] = 2;
        assertRefused(one, abi.encodeWithSelector(RollupCore.DataNotInBlobs.selector, 2));
    }

    function test_data_that_is_not_compressed_is_refused() public {
        one.output[AggregatedOutput.FULL_OUTPUT] = 1;
        assertRefused(one, abi.encodeWithSelector(RollupCore.DataNotCompressed.selector, 1));
    }

    function test_another_wrap_circuit_is_refused() public {
        one.output[TRAILER] ^= 1;
        assertRefused(one, abi.encodeWithSelector(RollupCore.WrapRoot.selector, system.wrapRoot ^ 1, system.wrapRoot));
        one.output[TRAILER] ^= 1;
        one.output[TRAILER + 1] ^= 1;
        assertRefused(
            one, abi.encodeWithSelector(RollupCore.WrapRoot.selector, system.wrapRoot ^ (1 << 128), system.wrapRoot)
        );
    }

    function test_another_merge_circuit_is_refused() public {
        one.output[TRAILER + 2] ^= 1;
        assertRefused(
            one, abi.encodeWithSelector(RollupCore.MergeRoot.selector, system.mergeRoot ^ 1, system.mergeRoot)
        );
        one.output[TRAILER + 2] ^= 1;
        one.output[TRAILER + 3] ^= 1;
        assertRefused(
            one, abi.encodeWithSelector(RollupCore.MergeRoot.selector, system.mergeRoot ^ (1 << 128), system.mergeRoot)
        );
    }

    // --- What only the proof shows ---

    function test_another_tree_of_proofs_is_refused() public {
        one.output[TRAILER + 4] ^= 1;
        assertRefusedByVerifier(one);
        one.output[TRAILER + 4] ^= 1;
        one.output[TRAILER + 5] ^= 1;
        assertRefusedByVerifier(one);
    }

    function test_another_new_state_is_refused() public {
        one.output[AggregatedOutput.NEW_ROOT] ^= 1;
        assertRefusedByVerifier(one);
        one.output[AggregatedOutput.NEW_ROOT] ^= 1;
        one.output[AggregatedOutput.NEW_BLOCK_HASH] ^= 1;
        assertRefusedByVerifier(one);
    }

    /// A single block's proof is wrapped, those of several are merged: another number is another circuit.
    function test_another_number_of_blocks_is_refused() public {
        one.output[AggregatedOutput.NEW_BLOCK_NUMBER] = 9;
        assertRefusedByVerifier(one);
    }

    function test_another_aggregator_is_refused() public {
        system.aggregatorProgramHash ^= 1;
        core = deploy(system);
        assertRefusedByVerifier(one);
    }

    function test_another_shrink_circuit_is_refused() public {
        for (uint256 i = 0; i < 2; ++i) {
            system.shrinkRoots[i] ^= 1;
            core = deploy(system);
            assertRefusedByVerifier(one);
            system.shrinkRoots[i] ^= 1;
        }
        (system.shrinkRoots[0], system.shrinkRoots[1]) = (system.shrinkRoots[1], system.shrinkRoots[0]);
        core = deploy(system);
        assertRefusedByVerifier(one);
    }

    /// How often proofs are shrunk is the proof system's affair, but it is not the prover's.
    function test_the_number_of_shrink_circuits_matters() public {
        bytes32 claim = one.claim;
        one.claim = vm.parseJsonBytes32(vm.readFile("test/fixtures/updates.json"), ".one.shortClaim");
        assertRefusedByVerifier(one);
        system.shrinkRoots.pop();
        core = deploy(system);
        settle(one);
        core = deploy(system);
        one.claim = claim;
        assertRefusedByVerifier(one);
    }

    /// Even where the output agrees with what is pinned, other circuits make other claims.
    function test_other_circuits_make_other_claims() public {
        system.wrapRoot ^= 1;
        core = deploy(system);
        one.output[TRAILER] ^= 1;
        assertRefusedByVerifier(one);
        system.wrapRoot ^= 1;
        system.mergeRoot ^= 1;
        core = deploy(system);
        one.output[TRAILER] ^= 1;
        one.output[TRAILER + 2] ^= 1;
        assertRefusedByVerifier(one);
    }

    function test_another_proof_is_refused() public {
        prepare(one);
        vm.expectRevert(abi.encodeWithSelector(OneClaimVerifier.Refused.selector, one.claim));
        vm.prank(OPERATOR);
        core.updateState(one.output, one.openings, "another");
    }

    /// An address without code takes every call, but Solidity looks for the code first.
    function test_without_a_verifier_nothing_is_settled() public {
        vm.etch(address(verifier), "");
        vm.blobhashes(one.blobs);
        vm.expectRevert();
        vm.prank(OPERATOR);
        core.updateState(one.output, one.openings, one.proof);
    }

    // --- Blobs ---

    function test_another_blob_is_refused() public {
        bytes32 expected = one.blobs[0];
        one.blobs[0] = many.blobs[0];
        assertRefused(one, abi.encodeWithSelector(BlobData.BlobMismatch.selector, 0, many.blobs[0], expected));
    }

    function test_the_order_of_blobs_matters() public {
        settle(one);
        (many.blobs[2], many.blobs[3]) = (many.blobs[3], many.blobs[2]);
        assertRefused(many, abi.encodeWithSelector(BlobData.BlobMismatch.selector, 2, many.blobs[2], many.blobs[3]));
    }

    function test_a_missing_blob_is_refused() public {
        settle(one);
        bytes32[] memory fewer = new bytes32[](5);
        for (uint256 i = 0; i < 5; ++i) {
            fewer[i] = many.blobs[i];
        }
        many.blobs = fewer;
        assertRefused(many, abi.encodeWithSelector(BlobData.BlobMissing.selector, 5));
        many.blobs = new bytes32[](0);
        assertRefused(many, abi.encodeWithSelector(BlobData.BlobMissing.selector, 0));
    }

    function test_an_extra_blob_is_refused() public {
        one.blobs.push(many.blobs[0]);
        assertRefused(one, abi.encodeWithSelector(BlobData.BlobUnexpected.selector, 1));
    }

    function test_another_evaluation_is_refused() public {
        one.output[AggregatedOutput.COMMITMENTS + 2] ^= 1;
        assertRefused(one, abi.encodeWithSelector(BlobData.EvaluationRefused.selector, 0));
        one.output[AggregatedOutput.COMMITMENTS + 2] ^= 1;
        one.output[AggregatedOutput.COMMITMENTS + 3] ^= 1;
        assertRefused(one, abi.encodeWithSelector(BlobData.EvaluationRefused.selector, 0));
    }

    function test_another_evaluation_point_is_refused() public {
        one.output[AggregatedOutput.EVALUATION_POINT] ^= 1;
        assertRefused(one, abi.encodeWithSelector(BlobData.EvaluationRefused.selector, 0));
    }

    function test_another_opening_is_refused() public {
        settle(one);
        many.openings[4] = many.openings[5];
        assertRefused(many, abi.encodeWithSelector(BlobData.EvaluationRefused.selector, 4));
    }

    function test_another_commitment_is_another_blob() public {
        for (uint256 limb = 0; limb < 2; ++limb) {
            one.output[AggregatedOutput.COMMITMENTS + limb] ^= 1;
            prepare(one);
            vm.expectPartialRevert(BlobData.BlobMismatch.selector);
            vm.prank(OPERATOR);
            core.updateState(one.output, one.openings, one.proof);
            one.output[AggregatedOutput.COMMITMENTS + limb] ^= 1;
        }
    }

    function test_there_is_one_opening_for_each_blob() public {
        one.openings.push(one.openings[0]);
        assertRefused(one, abi.encodeWithSelector(BlobData.KzgProofCount.selector, 2, 1));
        one.openings = new bytes[](0);
        assertRefused(one, abi.encodeWithSelector(BlobData.KzgProofCount.selector, 0, 1));
    }

    function test_an_opening_has_48_bytes() public {
        bytes memory opening = one.openings[0];
        one.openings[0] = bytes.concat(opening, bytes1(0));
        assertRefused(one, abi.encodeWithSelector(BlobData.KzgProofLength.selector, 0, 49));
        one.openings[0] = new bytes(47);
        assertRefused(one, abi.encodeWithSelector(BlobData.KzgProofLength.selector, 0, 47));
    }

    /// An address without the precompile answers every call with success and nothing.
    function test_a_chain_without_point_evaluation_settles_nothing() public {
        vm.mockCall(address(0x0a), "", "");
        assertRefused(one, abi.encodeWithSelector(BlobData.EvaluationRefused.selector, 0));
        vm.mockCall(address(0x0a), "", abi.encode(uint256(4096), uint256(1)));
        assertRefused(one, abi.encodeWithSelector(BlobData.EvaluationRefused.selector, 0));
        vm.mockCall(address(0x0a), "", abi.encode(uint256(1), BLS_MODULUS));
        assertRefused(one, abi.encodeWithSelector(BlobData.EvaluationRefused.selector, 0));
        vm.clearMockedCalls();
        vm.mockCallRevert(address(0x0a), "", abi.encode(uint256(4096), BLS_MODULUS));
        assertRefused(one, abi.encodeWithSelector(BlobData.EvaluationRefused.selector, 0));
        vm.clearMockedCalls();
        settle(one);
    }

    uint256 private constant BLS_MODULUS = 0x73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001;

    // --- Form ---

    function test_there_are_one_to_six_blobs() public {
        uint256[4] memory wrong = [uint256(0), 7, 1 << 250, type(uint256).max];
        for (uint256 i = 0; i < wrong.length; ++i) {
            one.output[AggregatedOutput.BLOBS] = wrong[i];
            assertRefused(one, abi.encodeWithSelector(AggregatedOutput.BlobCount.selector, wrong[i]));
        }
    }

    function test_a_longer_output_is_refused() public {
        uint256 length = one.output.length;
        one.output.push(0);
        assertRefused(one, abi.encodeWithSelector(AggregatedOutput.OutputLength.selector, length + 1, length));
    }

    /// Whatever is cut off, from one felt to all of them.
    function test_a_truncated_output_is_refused() public {
        settle(one);
        while (many.output.length > 0) {
            many.output.pop();
            prepare(many);
            vm.expectPartialRevert(AggregatedOutput.OutputLength.selector);
            vm.prank(OPERATOR);
            core.updateState(many.output, many.openings, many.proof);
        }
    }

    function test_lengths_of_messages_beyond_the_output_are_refused() public {
        uint256 length = one.output.length;
        one.output[MESSAGES_LENGTH] = 1;
        assertRefused(one, abi.encodeWithSelector(AggregatedOutput.OutputLength.selector, length, length + 1));
        one.output[MESSAGES_LENGTH] = type(uint256).max;
        assertRefused(one, abi.encodeWithSelector(AggregatedOutput.OutputLength.selector, length, type(uint256).max));
    }

    function test_messages_to_l2_are_refused() public {
        one.output[MESSAGES_LENGTH + 1] = 5;
        assertRefused(one, abi.encodeWithSelector(AggregatedOutput.MessagesToL2.selector, 5));
    }

    /// Every felt of the output, the prime and more added to it, so that its residue is the same: the hash over it is
    /// refused, or a check before that.
    function test_a_felt_that_is_not_canonical_is_refused() public {
        one.output[AggregatedOutput.NEW_ROOT] += Blake2s.FELT_PRIME;
        assertRefused(one, abi.encodeWithSelector(Blake2s.NotCanonical.selector, one.output[AggregatedOutput.NEW_ROOT]));
        one.output[AggregatedOutput.NEW_ROOT] -= Blake2s.FELT_PRIME;
        one.output[AggregatedOutput.NEW_BLOCK_HASH] += Blake2s.FELT_PRIME;
        assertRefused(
            one, abi.encodeWithSelector(Blake2s.NotCanonical.selector, one.output[AggregatedOutput.NEW_BLOCK_HASH])
        );
        one.output[AggregatedOutput.NEW_BLOCK_HASH] -= Blake2s.FELT_PRIME;
        for (uint256 i = 0; i < one.output.length; ++i) {
            one.output[i] += Blake2s.FELT_PRIME;
            prepare(one);
            vm.expectRevert();
            vm.prank(OPERATOR);
            core.updateState(one.output, one.openings, one.proof);
            one.output[i] -= Blake2s.FELT_PRIME;
        }
        settle(one);
    }

    /// Two felts that are no halves could stand for the same number.
    function test_halves_of_numbers_are_bounded() public {
        // Commitments have halves of 192 bits, everything else of 128.
        uint256[10] memory indices = [uint256(12), 13, 14, 15, 18, 19, 20, 21, 22, 23];
        for (uint256 i = 0; i < indices.length; ++i) {
            uint256 felt = one.output[indices[i]];
            one.output[indices[i]] = felt | (1 << (indices[i] < 14 ? 192 : 128));
            assertRefused(
                one, abi.encodeWithSelector(AggregatedOutput.LimbTooLarge.selector, indices[i], one.output[indices[i]])
            );
            one.output[indices[i]] = felt;
        }
        settle(one);
    }

    // --- All of it ---

    /// The proof is right for one output: any other value of any felt is refused.
    function test_fuzz_no_other_felt_is_accepted(uint256 index, uint256 value) public {
        settle(one);
        index = bound(index, 0, many.output.length - 1);
        vm.assume(many.output[index] != value);
        many.output[index] = value;
        prepare(many);
        vm.expectRevert();
        vm.prank(OPERATOR);
        core.updateState(many.output, many.openings, many.proof);
    }

    function test_fuzz_no_bit_of_an_opening_may_differ(uint256 blob, uint256 bit) public {
        settle(one);
        blob = bound(blob, 0, 5);
        bit = bound(bit, 0, 48 * 8 - 1);
        bytes memory opening = many.openings[blob];
        opening[bit / 8] ^= bytes1(uint8(1 << (bit % 8)));
        many.openings[blob] = opening;
        assertRefused(many, abi.encodeWithSelector(BlobData.EvaluationRefused.selector, blob));
    }

    // --- Deployment ---

    function test_genesis_is_logged() public {
        vm.expectEmit();
        emit RollupCore.Genesis(genesis.blockNumber, genesis.root, genesis.blockHash);
        deploy(system);
    }

    function test_genesis_is_canonical() public {
        genesis.root = Blake2s.FELT_PRIME;
        vm.expectRevert(abi.encodeWithSelector(Blake2s.NotCanonical.selector, Blake2s.FELT_PRIME));
        deploy(system);
        genesis.root = 0;
        genesis.blockHash = type(uint256).max;
        vm.expectRevert(abi.encodeWithSelector(Blake2s.NotCanonical.selector, type(uint256).max));
        deploy(system);
    }

    // --- Gas ---

    /// Printed with -vv: all that an update costs besides the verifier and its proof.
    function test_gas_of_an_update() public {
        printGas("1 block, 1 blob", one);
        printGas("64 blocks, 6 blobs, 2 messages", many);
    }

    function printGas(string memory name, Update memory update) private {
        prepare(update);
        update.proof = "";
        verifier.accept(update.claim, update.proof);
        // The setting up has touched what a transaction finds cold.
        vm.cool(address(core));
        vm.cool(address(verifier));
        vm.prank(OPERATOR);
        core.updateState(update.output, update.openings, update.proof);
        emit log_named_uint(string.concat("gas of an update, execution: ", name), vm.lastCallGas().gasTotalUsed);
        bytes memory data = abi.encodeCall(core.updateState, (update.output, update.openings, update.proof));
        uint256 zeros;
        for (uint256 i = 0; i < data.length; ++i) {
            if (data[i] == 0) ++zeros;
        }
        uint256 calldataGas = 21_000 + 4 * zeros + 16 * (data.length - zeros);
        emit log_named_uint(string.concat("gas of an update, transaction and calldata: ", name), calldataGas);
    }
}
