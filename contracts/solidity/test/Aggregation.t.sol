// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AggregatedOutput} from "../src/AggregatedOutput.sol";
import {OutputHash} from "../src/OutputHash.sol";
import {ProofSystem} from "../src/ProofSystem.sol";
import {RollupCore} from "../src/RollupCore.sol";
import {CircuitVerifier} from "../src/verifier/CircuitVerifier.sol";
import {Test} from "./support/Test.sol";

/// Nothing stands in for anything here: two blocks of ten transfers, executed, proven, aggregated, and settled by the
/// contracts as they are deployed. `just bench-aggregation --save FOLDER 2 10` makes the fixtures.
contract AggregationTest is Test {
    string private constant FOLDER = "test/fixtures/aggregation/";
    address private constant OPERATOR = address(0x0f);
    /// What a transaction has (EIP-7825). A refused point evaluation takes all that it is given.
    uint256 private constant TRANSACTION_GAS = 1 << 24;

    RollupCore private core;
    uint256[] private output;
    bytes[] private openings;
    bytes private proof;
    bytes32 private statement;
    ProofSystem private system;

    function setUp() public {
        string memory json = vm.readFile(string.concat(FOLDER, "update.json"));
        proof = vm.readFileBinary(string.concat(FOLDER, "proof.bin"));
        output = vm.parseJsonUintArray(json, ".output");
        openings = vm.parseJsonBytesArray(json, ".kzgProofs");
        statement = vm.parseJsonBytes32(json, ".statement");
        uint256[] memory logSizes = vm.parseJsonUintArray(json, ".componentLogSizes");
        uint8[11] memory sizes;
        for (uint256 i; i < 11; ++i) {
            sizes[i] = uint8(logSizes[i]);
        }
        system = ProofSystem({
            verifier: new CircuitVerifier(bytes24(vm.parseJsonBytes(json, ".preprocessedRoot")), sizes),
            osProgramHash: vm.parseJsonUint(json, ".osProgramHash"),
            aggregatorProgramHash: vm.parseJsonUint(json, ".aggregatorProgramHash"),
            configHash: output[AggregatedOutput.CONFIG_HASH],
            wrapRoot: vm.parseJsonUint(json, ".wrapRoot"),
            mergeRoot: vm.parseJsonUint(json, ".mergeRoot"),
            shrinkRoots: vm.parseJsonUintArray(json, ".shrinkRoots")
        });
        core = deploy();
    }

    /// A rollup whose proof system is `system`, at the state before the two blocks.
    function deploy() private returns (RollupCore) {
        RollupCore.State memory genesis = RollupCore.State({
            root: output[AggregatedOutput.PREVIOUS_ROOT],
            blockHash: output[AggregatedOutput.PREVIOUS_BLOCK_HASH],
            blockNumber: uint64(output[AggregatedOutput.PREVIOUS_BLOCK_NUMBER])
        });
        return new RollupCore(genesis, system, OPERATOR, 1 days, address(0x60), 7 days);
    }

    /// The transaction carries the blob that the output commits to.
    modifier withBlob() {
        bytes32[] memory blobs = new bytes32[](1);
        blobs[0] = versionedHash();
        vm.blobhashes(blobs);
        _;
    }

    function versionedHash() private view returns (bytes32) {
        uint256 low = output[AggregatedOutput.COMMITMENTS];
        uint256 high = output[AggregatedOutput.COMMITMENTS + 1];
        bytes32 hash = sha256(abi.encodePacked(bytes24(uint192(high)), bytes24(uint192(low))));
        return bytes32((uint256(hash) & (type(uint256).max >> 8)) | (uint256(1) << 248));
    }

    function update() private {
        vm.prank(OPERATOR);
        core.updateState(output, openings, proof);
    }

    function test_two_blocks_are_settled_by_their_proof() public withBlob {
        (uint256[] memory words, bytes[] memory opened, bytes memory made) = (output, openings, proof);
        vm.prank(OPERATOR);
        core.updateState(words, opened, made);
        emit log_named_uint("gas of the update, without calldata and 21,000", vm.lastCallGas().gasTotalUsed);
        vm.assertEq(core.stateRoot(), output[AggregatedOutput.NEW_ROOT]);
        vm.assertEq(core.stateBlockNumber(), output[AggregatedOutput.NEW_BLOCK_NUMBER]);
        vm.assertEq(core.stateBlockHash(), output[AggregatedOutput.NEW_BLOCK_HASH]);
    }

    /// What the prover says of its proof is what the contract computes from the output.
    function test_the_statement_is_that_of_the_prover() public view {
        system.verifier.verify(statement, proof);
    }

    /// Whatever word of the output is another one, by the lowest bit or by the highest of a half: it is refused.
    function test_no_other_output_goes_with_the_proof() public withBlob {
        // One piece of memory for all calls. Behind the selector: where the arguments are, the output's length, its words.
        bytes memory data = abi.encodeCall(core.updateState, (output, openings, proof));
        for (uint256 i; i < output.length; ++i) {
            for (uint256 half; half < 2; ++half) {
                uint256 place = 4 + 4 * 32 + 32 * i + (half == 0 ? 31 : 16);
                bytes1 bit = half == 0 ? bytes1(0x01) : bytes1(0x80);
                data[place] ^= bit;
                vm.prank(OPERATOR);
                (bool accepted,) = address(core).call{gas: TRANSACTION_GAS}(data);
                vm.assertFalse(accepted, vm.toString(i));
                data[place] ^= bit;
            }
        }
        vm.prank(OPERATOR);
        (bool unchanged,) = address(core).call{gas: TRANSACTION_GAS}(data);
        vm.assertTrue(unchanged);
    }

    /// Words that no check but the proof's binds: new root, new block hash, hash of the blocks' tree.
    function test_the_proof_binds_what_nothing_else_does() public withBlob {
        uint256[4] memory words =
            [AggregatedOutput.NEW_ROOT, AggregatedOutput.NEW_BLOCK_HASH, output.length - 2, output.length - 1];
        for (uint256 i; i < words.length; ++i) {
            output[words[i]] ^= 1;
            assertRefusedByTheVerifier();
            output[words[i]] ^= 1;
        }
        // Blocks that another circuit would have merged.
        output[AggregatedOutput.NEW_BLOCK_NUMBER] = 1;
        assertRefusedByTheVerifier();
        output[AggregatedOutput.NEW_BLOCK_NUMBER] = 2;
        update();
    }

    /// A rollup of another chain, or with other programs or circuits, refuses the proof, even if the output is made to
    /// agree with what that rollup has pinned.
    function test_a_proof_is_of_one_proof_system() public withBlob {
        uint256 trailer = output.length - 6;
        system.osProgramHash ^= 1;
        assertRefusedWith(AggregatedOutput.OS_PROGRAM_HASH);
        system.osProgramHash ^= 1;
        system.configHash ^= 1;
        assertRefusedWith(AggregatedOutput.CONFIG_HASH);
        system.configHash ^= 1;
        system.wrapRoot ^= 1;
        assertRefusedWith(trailer);
        system.wrapRoot ^= 1;
        system.mergeRoot ^= 1;
        assertRefusedWith(trailer + 2);
        system.mergeRoot ^= 1;
        // These are not in the output.
        system.aggregatorProgramHash ^= 1;
        core = deploy();
        assertRefusedByTheVerifier();
        system.aggregatorProgramHash ^= 1;
        for (uint256 i; i < 2; ++i) {
            system.shrinkRoots[i] ^= 1;
            core = deploy();
            assertRefusedByTheVerifier();
            system.shrinkRoots[i] ^= 1;
        }
        core = deploy();
        update();
    }

    /// Deploys anew, and changes a word of the output as `system` was changed.
    function assertRefusedWith(uint256 word) private {
        output[word] ^= 1;
        core = deploy();
        assertRefusedByTheVerifier();
        output[word] ^= 1;
    }

    /// Another statement has another transcript, in which the proof's work was not done.
    function assertRefusedByTheVerifier() private {
        vm.prank(OPERATOR);
        vm.expectRevert(CircuitVerifier.InteractionProofOfWork.selector);
        core.updateState(output, openings, proof);
    }

    function test_a_changed_proof_is_refused() public withBlob {
        for (uint256 i; i < 16; ++i) {
            uint256 position = i * (proof.length - 1) / 15;
            proof[position] ^= 0x04;
            vm.prank(OPERATOR);
            vm.expectRevert();
            core.updateState(output, openings, proof);
            proof[position] ^= 0x04;
        }
        update();
    }
}
