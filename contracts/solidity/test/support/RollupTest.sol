// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AggregatedOutput} from "../../src/AggregatedOutput.sol";
import {OutputHash} from "../../src/OutputHash.sol";
import {ProofSystem} from "../../src/ProofSystem.sol";
import {RollupCore} from "../../src/RollupCore.sol";
import {OneClaimVerifier} from "./OneClaimVerifier.sol";
import {Test} from "./Test.sol";

/// A deployment, and updates that it accepts: fixtures/updates.json, with real blobs, commitments and openings.
abstract contract RollupTest is Test {
    using AggregatedOutput for uint256[];

    struct Update {
        uint256[] output;
        bytes[] openings;
        bytes32[] blobs;
        bytes32 claim;
        bytes proof;
    }

    address internal constant OPERATOR = address(0x0f);
    address internal constant GOVERNANCE = address(0x60);
    address internal constant OUTSIDER = address(0xbad);
    uint256 internal constant SILENCE = 3 days;
    uint256 internal constant DELAY = 10 days;
    uint256 internal constant DEPLOYED_AT = 1_800_000_000;

    OneClaimVerifier internal verifier;
    RollupCore.State internal genesis;
    ProofSystem internal system;
    RollupCore internal core;
    /// Block 8, one blob.
    Update internal one;
    /// Blocks 9 to 72, six blobs, two messages to L1.
    Update internal many;

    function setUp() public virtual {
        string memory json = vm.readFile("test/fixtures/updates.json");
        vm.warp(DEPLOYED_AT);
        verifier = new OneClaimVerifier();
        genesis = RollupCore.State({
            root: vm.parseJsonUint(json, ".genesis.root"),
            blockHash: vm.parseJsonUint(json, ".genesis.hash"),
            blockNumber: 7
        });
        vm.assertEq(vm.parseJsonUint(json, ".genesis.number"), 7);
        uint256[] memory shrinkRoots = new uint256[](2);
        shrinkRoots[0] = vm.parseJsonUint(json, ".system.shrink");
        shrinkRoots[1] = vm.parseJsonUint(json, ".system.compact");
        system = ProofSystem({
            verifier: verifier,
            osProgramHash: vm.parseJsonUint(json, ".system.os"),
            aggregatorProgramHash: vm.parseJsonUint(json, ".system.aggregator"),
            configHash: vm.parseJsonUint(json, ".system.config"),
            wrapRoot: vm.parseJsonUint(json, ".system.wrap"),
            mergeRoot: vm.parseJsonUint(json, ".system.merge"),
            shrinkRoots: shrinkRoots
        });
        core = deploy(system);
        one = read(json, ".one");
        many = read(json, ".many");
    }

    function deploy(ProofSystem memory with) internal returns (RollupCore) {
        return new RollupCore(genesis, with, OPERATOR, SILENCE, GOVERNANCE, DELAY);
    }

    function read(string memory json, string memory name) private pure returns (Update memory) {
        return Update({
            output: vm.parseJsonUintArray(json, string.concat(name, ".output")),
            openings: vm.parseJsonBytesArray(json, string.concat(name, ".openings")),
            blobs: vm.parseJsonBytes32Array(json, string.concat(name, ".blobs")),
            claim: vm.parseJsonBytes32(json, string.concat(name, ".claim")),
            proof: bytes(name)
        });
    }

    /// The last circuit's output over another aggregator's output, by the contract's own computation: for tests of
    /// what comes after the proof.
    function claimOf(uint256[] calldata output, ProofSystem calldata with) external pure returns (bytes32) {
        uint256 blocks = output[AggregatedOutput.NEW_BLOCK_NUMBER] - output[AggregatedOutput.PREVIOUS_BLOCK_NUMBER];
        return OutputHash.lastCircuit(output, output.partsOf(), blocks, with);
    }

    /// Sends an update whose proof is right for `update.claim` alone.
    function settleAs(address sender, Update memory update) internal {
        prepare(update);
        vm.prank(sender);
        core.updateState(update.output, update.openings, update.proof);
    }

    function settle(Update memory update) internal {
        settleAs(OPERATOR, update);
    }

    /// The transaction's blobs, and what the verifier accepts.
    function prepare(Update memory update) internal {
        vm.blobhashes(update.blobs);
        verifier.accept(update.claim, update.proof);
    }

    /// Expects that an update is refused with this error, and that nothing changes.
    function assertRefused(Update memory update, bytes memory refusal) internal {
        bytes32 before = stateDigest();
        prepare(update);
        vm.expectRevert(refusal);
        vm.prank(OPERATOR);
        core.updateState(update.output, update.openings, update.proof);
        vm.assertEq(stateDigest(), before);
    }

    /// Expects that an update is refused by the verifier, because its claim is another.
    function assertRefusedByVerifier(Update memory update) internal {
        bytes32 before = stateDigest();
        prepare(update);
        vm.expectPartialRevert(OneClaimVerifier.Refused.selector);
        vm.prank(OPERATOR);
        core.updateState(update.output, update.openings, update.proof);
        vm.assertEq(stateDigest(), before);
    }

    function stateDigest() internal view returns (bytes32) {
        return keccak256(abi.encode(core.stateRoot(), core.stateBlockNumber(), core.stateBlockHash(), core.openFrom()));
    }

    function assertState(uint256 root, uint256 number, uint256 blockHash) internal view {
        vm.assertEq(core.stateRoot(), root);
        vm.assertEq(core.stateBlockNumber(), number);
        vm.assertEq(core.stateBlockHash(), blockHash);
    }
}
