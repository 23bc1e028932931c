// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AggregatedOutput} from "../../src/AggregatedOutput.sol";
import {ProofSystem} from "../../src/ProofSystem.sol";
import {RollupCore} from "../../src/RollupCore.sol";
import {RollupTest} from "./RollupTest.sol";

/// Calls a deployment in any order, as any of four accounts, and keeps a model of what must have come of it. A call
/// that succeeds where the model forbids it, or fails where the model asks for it, is noted in `violation`.
contract RollupHandler is RollupTest {
    /// How an update is spoilt.
    enum Flaw {
        None,
        Number,
        Hash,
        Root,
        Blob,
        Proof
    }

    string public violation;

    // The model.
    uint256 public root;
    uint256 public blockHash;
    uint256 public number;
    uint256 public updatedAt;
    bytes32 public systemId;
    bytes32 public pending;
    uint256 public notBefore;
    mapping(address account => bool) private operators;
    mapping(address account => bool) private governors;

    // How much happened, for a test of the tests.
    uint256 public settled;
    uint256 public replaced;

    address[4] private accounts = [OPERATOR, GOVERNANCE, OUTSIDER, address(0xd00d)];
    Update private last;

    constructor() {
        setUp();
        (root, blockHash, number) = (genesis.root, genesis.blockHash, genesis.blockNumber);
        updatedAt = block.timestamp;
        systemId = core.upgradeId(system);
        operators[OPERATOR] = true;
        governors[GOVERNANCE] = true;
        last = one;
    }

    function rollup() external view returns (RollupCore) {
        return core;
    }

    function settle(uint256 account, uint256 blocks, uint256 flawSeed, uint256 seed) external {
        // Half of the updates are good.
        Flaw flaw = flawSeed % 2 == 0 ? Flaw.None : Flaw(1 + (flawSeed / 2) % 5);
        ProofSystem memory inForce = core.proofSystem();
        Update memory update = one;
        uint256[] memory output = update.output;
        output[AggregatedOutput.PREVIOUS_ROOT] = root ^ (flaw == Flaw.Root ? 1 : 0);
        output[AggregatedOutput.NEW_ROOT] = uint256(keccak256(abi.encode("root", seed))) >> 8;
        uint256 first = flaw == Flaw.Number ? number + (seed % 2 == 0 ? 1 : number - 1) : number;
        output[AggregatedOutput.PREVIOUS_BLOCK_NUMBER] = first;
        output[AggregatedOutput.NEW_BLOCK_NUMBER] = first + bound(blocks, 1, 100);
        output[AggregatedOutput.PREVIOUS_BLOCK_HASH] = blockHash ^ (flaw == Flaw.Hash ? 1 : 0);
        output[AggregatedOutput.NEW_BLOCK_HASH] = uint256(keccak256(abi.encode("hash", seed))) >> 8;
        update.claim = this.claimOf(output, inForce);
        if (flaw == Flaw.Blob) update.blobs[0] ^= bytes32(uint256(1));
        if (flaw == Flaw.Proof) update.claim ^= bytes32(uint256(1));

        address sender = accounts[account % accounts.length];
        bool allowed = operators[sender] || block.timestamp >= updatedAt + SILENCE;
        prepare(update);
        vm.prank(sender);
        try core.updateState(output, update.openings, update.proof) {
            if (!allowed) violation = "somebody settled before the silence was over";
            if (flaw != Flaw.None) violation = "a spoilt update was settled";
            root = output[AggregatedOutput.NEW_ROOT];
            blockHash = output[AggregatedOutput.NEW_BLOCK_HASH];
            if (output[AggregatedOutput.NEW_BLOCK_NUMBER] <= number) violation = "the block number did not grow";
            number = output[AggregatedOutput.NEW_BLOCK_NUMBER];
            updatedAt = block.timestamp;
            last = update;
            ++settled;
        } catch {
            if (allowed && flaw == Flaw.None) violation = "a good update was refused";
        }
    }

    /// The last update that was settled, or the fixture's while none was, of which this chain is no part any more.
    function replay(uint256 account) external {
        if (settled == 0) return;
        prepare(last);
        vm.prank(accounts[account % accounts.length]);
        try core.updateState(last.output, last.openings, last.proof) {
            violation = "an update was settled twice";
        } catch {}
    }

    function wait(uint256 time) external {
        vm.warp(block.timestamp + bound(time, 0, 4 days));
    }

    function schedule(uint256 account, uint256 variant) external {
        address sender = accounts[account % accounts.length];
        bool allowed = governors[sender] && pending == 0;
        ProofSystem memory next = systemOf(variant);
        vm.prank(sender);
        try core.scheduleUpgrade(next) {
            if (!allowed) violation = "an upgrade was scheduled without right";
            pending = core.upgradeId(next);
            notBefore = block.timestamp + DELAY;
        } catch {
            if (allowed) violation = "an upgrade was not scheduled";
        }
    }

    function cancel(uint256 account) external {
        address sender = accounts[account % accounts.length];
        bool allowed = governors[sender] && pending != 0;
        vm.prank(sender);
        try core.cancelUpgrade() {
            if (!allowed) violation = "an upgrade was cancelled without right";
            pending = 0;
        } catch {
            if (allowed) violation = "an upgrade was not cancelled";
        }
    }

    function execute(uint256 account, uint256 variant) external {
        address sender = accounts[account % accounts.length];
        ProofSystem memory next = systemOf(variant);
        bytes32 id = core.upgradeId(next);
        bool allowed = governors[sender] && pending == id && block.timestamp >= notBefore;
        vm.prank(sender);
        try core.executeUpgrade(next) {
            if (!allowed) violation = "an upgrade was made before its delay or without right";
            systemId = id;
            pending = 0;
            ++replaced;
        } catch {
            if (allowed) violation = "an upgrade was not made after its delay";
        }
    }

    /// Gives or takes a role. The first two accounts keep theirs, or everything would soon be refused.
    function setRole(uint256 account, uint256 receiver, bool governance, bool give) external {
        address sender = accounts[account % accounts.length];
        address to = accounts[2 + receiver % 2];
        bytes32 role = governance ? core.GOVERNANCE_ROLE() : core.OPERATOR_ROLE();
        bool allowed = governors[sender];
        try this.setRoleAs(sender, role, to, give) {
            if (!allowed) violation = "a role was given or taken without right";
            if (governance) governors[to] = give;
            else operators[to] = give;
        } catch {
            if (allowed) violation = "a role was not given or taken";
        }
    }

    function setRoleAs(address sender, bytes32 role, address to, bool give) external {
        vm.prank(sender);
        if (give) core.grantRole(role, to);
        else core.revokeRole(role, to);
    }

    function isOperator(address account) external view returns (bool) {
        return operators[account];
    }

    function isGovernor(address account) external view returns (bool) {
        return governors[account];
    }

    function accountAt(uint256 index) external view returns (address) {
        return accounts[index];
    }

    /// One of three proof systems, of which the first is the deployment's.
    function systemOf(uint256 variant) private view returns (ProofSystem memory next) {
        next = system;
        next.aggregatorProgramHash ^= variant % 3;
    }
}
