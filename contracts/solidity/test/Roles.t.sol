// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Blake2s} from "../src/Blake2s.sol";
import {ICircuitVerifier} from "../src/ICircuitVerifier.sol";
import {ProofSystem} from "../src/ProofSystem.sol";
import {ProofSystemTimeLock} from "../src/ProofSystemTimeLock.sol";
import {RollupCore} from "../src/RollupCore.sol";
import {OneClaimVerifier} from "./support/OneClaimVerifier.sol";
import {RollupTest} from "./support/RollupTest.sol";
import {IAccessControl} from "@openzeppelin/contracts/access/IAccessControl.sol";

/// Who may settle and who may replace the proof system, and when.
contract RolesTest is RollupTest {
    function upgraded() private returns (ProofSystem memory next) {
        next = system;
        next.verifier = new OneClaimVerifier();
        next.osProgramHash ^= 1;
        next.aggregatorProgramHash ^= 2;
        next.configHash ^= 4;
        next.wrapRoot ^= 8;
        next.mergeRoot ^= 16;
        next.shrinkRoots[1] ^= 32;
    }

    function assertSystem(ProofSystem memory expected) private view {
        vm.assertEq(keccak256(abi.encode(core.proofSystem())), keccak256(abi.encode(expected)));
    }

    function unauthorized(address account, bytes32 role) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IAccessControl.AccessControlUnauthorizedAccount.selector, account, role);
    }

    // --- Settling ---

    function test_an_outsider_settles_after_the_silence_only() public {
        vm.warp(DEPLOYED_AT + SILENCE - 1);
        prepare(one);
        vm.expectRevert(abi.encodeWithSelector(RollupCore.OperatorNotSilent.selector, OUTSIDER, DEPLOYED_AT + SILENCE));
        vm.prank(OUTSIDER);
        core.updateState(one.output, one.openings, one.proof);
        vm.warp(DEPLOYED_AT + SILENCE);
        settleAs(OUTSIDER, one);
        vm.assertEq(core.stateBlockNumber(), 8);
    }

    /// Silence counts from the last update, whoever made it.
    function test_an_update_begins_the_silence_anew() public {
        vm.warp(DEPLOYED_AT + SILENCE);
        settleAs(OUTSIDER, one);
        vm.warp(DEPLOYED_AT + 2 * SILENCE - 1);
        prepare(many);
        vm.expectRevert(
            abi.encodeWithSelector(RollupCore.OperatorNotSilent.selector, OUTSIDER, DEPLOYED_AT + 2 * SILENCE)
        );
        vm.prank(OUTSIDER);
        core.updateState(many.output, many.openings, many.proof);
        settleAs(OPERATOR, many);
        vm.assertEq(core.openFrom(), DEPLOYED_AT + 2 * SILENCE - 1 + SILENCE);
    }

    /// An outsider needs the proof as the operator does.
    function test_an_outsider_needs_a_proof() public {
        vm.warp(DEPLOYED_AT + SILENCE);
        prepare(one);
        vm.expectPartialRevert(OneClaimVerifier.Refused.selector);
        vm.prank(OUTSIDER);
        core.updateState(one.output, one.openings, "no proof");
    }

    function test_governance_does_not_settle() public {
        prepare(one);
        vm.expectPartialRevert(RollupCore.OperatorNotSilent.selector);
        vm.prank(GOVERNANCE);
        core.updateState(one.output, one.openings, one.proof);
    }

    function test_governance_replaces_the_operator() public {
        bytes32 role = core.OPERATOR_ROLE();
        vm.startPrank(GOVERNANCE);
        core.revokeRole(role, OPERATOR);
        core.grantRole(role, OUTSIDER);
        vm.stopPrank();
        prepare(one);
        vm.expectPartialRevert(RollupCore.OperatorNotSilent.selector);
        vm.prank(OPERATOR);
        core.updateState(one.output, one.openings, one.proof);
        settleAs(OUTSIDER, one);
    }

    /// With no operator at all, the rollup goes on.
    function test_anyone_settles_when_there_is_no_operator() public {
        bytes32 role = core.OPERATOR_ROLE();
        vm.prank(OPERATOR);
        core.renounceRole(role, OPERATOR);
        vm.warp(DEPLOYED_AT + SILENCE);
        settleAs(OUTSIDER, one);
    }

    function test_only_governance_gives_and_takes_roles() public {
        bytes32 operator = core.OPERATOR_ROLE();
        bytes32 governance = core.GOVERNANCE_ROLE();
        address[2] memory others = [OPERATOR, OUTSIDER];
        bytes32[3] memory roles = [operator, governance, core.DEFAULT_ADMIN_ROLE()];
        for (uint256 i = 0; i < others.length; ++i) {
            for (uint256 j = 0; j < roles.length; ++j) {
                bytes32 admin = j == 2 ? roles[2] : governance;
                vm.expectRevert(unauthorized(others[i], admin));
                vm.prank(others[i]);
                core.grantRole(roles[j], others[i]);
                vm.expectRevert(unauthorized(others[i], admin));
                vm.prank(others[i]);
                core.revokeRole(roles[j], GOVERNANCE);
            }
        }
        // Nobody is the admin of other roles, governance included.
        vm.expectRevert(unauthorized(GOVERNANCE, roles[2]));
        vm.prank(GOVERNANCE);
        core.grantRole(roles[2], GOVERNANCE);
        vm.assertFalse(core.hasRole(operator, GOVERNANCE));
        vm.assertFalse(core.hasRole(governance, OPERATOR));
    }

    // --- Upgrades ---

    function test_an_upgrade_replaces_the_whole_proof_system_after_the_delay() public {
        ProofSystem memory next = upgraded();
        bytes32 id = core.upgradeId(next);
        vm.expectEmit();
        emit ProofSystemTimeLock.UpgradeScheduled(id, next, DEPLOYED_AT + DELAY);
        vm.prank(GOVERNANCE);
        core.scheduleUpgrade(next);
        (bytes32 pending, uint256 notBefore) = core.pendingUpgrade();
        vm.assertEq(pending, id);
        vm.assertEq(notBefore, DEPLOYED_AT + DELAY);
        assertSystem(system);

        vm.warp(DEPLOYED_AT + DELAY - 1);
        vm.expectRevert(abi.encodeWithSelector(ProofSystemTimeLock.UpgradeTooEarly.selector, DEPLOYED_AT + DELAY));
        vm.prank(GOVERNANCE);
        core.executeUpgrade(next);

        vm.warp(DEPLOYED_AT + DELAY);
        vm.expectEmit();
        emit ProofSystemTimeLock.ProofSystemReplaced(id, next);
        vm.prank(GOVERNANCE);
        core.executeUpgrade(next);
        assertSystem(next);
        (pending, notBefore) = core.pendingUpgrade();
        vm.assertEq(pending, 0);
        vm.assertEq(notBefore, 0);
        // The state is as it was, and proofs of the old system are none any more.
        assertState(genesis.root, genesis.blockNumber, genesis.blockHash);
        assertRefused(
            one, abi.encodeWithSelector(RollupCore.OsProgramHash.selector, system.osProgramHash, next.osProgramHash)
        );
    }

    function test_settlement_goes_on_while_an_upgrade_waits() public {
        ProofSystem memory next = upgraded();
        vm.prank(GOVERNANCE);
        core.scheduleUpgrade(next);
        settle(one);
        vm.warp(DEPLOYED_AT + DELAY + 1);
        settleAs(OUTSIDER, many);
    }

    function test_an_upgrade_needs_to_be_scheduled() public {
        ProofSystem memory next = upgraded();
        vm.expectRevert(ProofSystemTimeLock.NoUpgradePending.selector);
        vm.prank(GOVERNANCE);
        core.executeUpgrade(next);
        vm.expectRevert(ProofSystemTimeLock.NoUpgradePending.selector);
        vm.prank(GOVERNANCE);
        core.cancelUpgrade();
    }

    function test_no_part_of_a_scheduled_upgrade_is_changed() public {
        ProofSystem memory next = upgraded();
        bytes32 id = core.upgradeId(next);
        vm.prank(GOVERNANCE);
        core.scheduleUpgrade(next);
        vm.warp(DEPLOYED_AT + DELAY);
        for (uint256 part = 0; part < 9; ++part) {
            ProofSystem memory other = abi.decode(abi.encode(next), (ProofSystem));
            if (part < 6) {
                assembly ("memory-safe") {
                    let at := add(other, mul(32, part))
                    mstore(at, xor(mload(at), 1))
                }
            } else if (part < 8) {
                other.shrinkRoots[part - 6] ^= 1;
            } else {
                other.shrinkRoots = new uint256[](2);
            }
            vm.expectRevert(
                abi.encodeWithSelector(ProofSystemTimeLock.UpgradeMismatch.selector, core.upgradeId(other), id)
            );
            vm.prank(GOVERNANCE);
            core.executeUpgrade(other);
        }
        vm.prank(GOVERNANCE);
        core.executeUpgrade(next);
    }

    function test_an_upgrade_is_executed_once() public {
        ProofSystem memory next = upgraded();
        vm.startPrank(GOVERNANCE);
        core.scheduleUpgrade(next);
        vm.warp(DEPLOYED_AT + DELAY);
        core.executeUpgrade(next);
        vm.expectRevert(ProofSystemTimeLock.NoUpgradePending.selector);
        core.executeUpgrade(next);
        vm.stopPrank();
    }

    function test_one_upgrade_waits_at_a_time() public {
        ProofSystem memory next = upgraded();
        bytes32 id = core.upgradeId(next);
        vm.startPrank(GOVERNANCE);
        core.scheduleUpgrade(next);
        vm.warp(DEPLOYED_AT + 1);
        vm.expectRevert(abi.encodeWithSelector(ProofSystemTimeLock.UpgradePending.selector, id, DEPLOYED_AT + DELAY));
        core.scheduleUpgrade(system);
        vm.stopPrank();
    }

    /// A cancelled upgrade waits the whole delay again.
    function test_a_cancelled_upgrade_is_not_executed() public {
        ProofSystem memory next = upgraded();
        vm.startPrank(GOVERNANCE);
        core.scheduleUpgrade(next);
        vm.warp(DEPLOYED_AT + DELAY);
        vm.expectEmit();
        emit ProofSystemTimeLock.UpgradeCancelled(core.upgradeId(next));
        core.cancelUpgrade();
        (bytes32 pending, uint256 notBefore) = core.pendingUpgrade();
        vm.assertEq(pending, 0);
        vm.assertEq(notBefore, 0);
        vm.expectRevert(ProofSystemTimeLock.NoUpgradePending.selector);
        core.executeUpgrade(next);
        core.scheduleUpgrade(next);
        vm.expectRevert(abi.encodeWithSelector(ProofSystemTimeLock.UpgradeTooEarly.selector, DEPLOYED_AT + 2 * DELAY));
        core.executeUpgrade(next);
        vm.stopPrank();
    }

    function test_only_governance_upgrades() public {
        ProofSystem memory next = upgraded();
        bytes32 role = core.GOVERNANCE_ROLE();
        address[2] memory others = [OPERATOR, OUTSIDER];
        for (uint256 i = 0; i < others.length; ++i) {
            vm.startPrank(others[i]);
            vm.expectRevert(unauthorized(others[i], role));
            core.scheduleUpgrade(next);
            vm.expectRevert(unauthorized(others[i], role));
            core.cancelUpgrade();
            vm.expectRevert(unauthorized(others[i], role));
            core.executeUpgrade(next);
            vm.stopPrank();
        }
        vm.prank(GOVERNANCE);
        core.scheduleUpgrade(next);
        vm.warp(DEPLOYED_AT + DELAY);
        for (uint256 i = 0; i < others.length; ++i) {
            vm.startPrank(others[i]);
            vm.expectRevert(unauthorized(others[i], role));
            core.cancelUpgrade();
            vm.expectRevert(unauthorized(others[i], role));
            core.executeUpgrade(next);
            vm.stopPrank();
        }
    }

    /// What no proof could be made for is refused, when it is scheduled and at deployment.
    function test_a_proof_system_must_be_one() public {
        ProofSystem memory next = upgraded();
        next.verifier = ICircuitVerifier(OUTSIDER);
        assertNoSystem(next, abi.encodeWithSelector(ProofSystemTimeLock.VerifierWithoutCode.selector, OUTSIDER));
        bytes memory notCanonical = abi.encodeWithSelector(Blake2s.NotCanonical.selector, Blake2s.FELT_PRIME);
        next = upgraded();
        next.osProgramHash = Blake2s.FELT_PRIME;
        assertNoSystem(next, notCanonical);
        next = upgraded();
        next.aggregatorProgramHash = Blake2s.FELT_PRIME;
        assertNoSystem(next, notCanonical);
        next = upgraded();
        next.configHash = Blake2s.FELT_PRIME;
        assertNoSystem(next, notCanonical);
        // A word of 2^31 - 1, and one of 32 bits.
        uint256[2] memory wrong = [(uint256(2) ** 31 - 1) << 64, uint256(1) << 255];
        for (uint256 i = 0; i < wrong.length; ++i) {
            bytes memory notReduced = abi.encodeWithSelector(ProofSystemTimeLock.RootNotReduced.selector, wrong[i]);
            next = upgraded();
            next.wrapRoot = wrong[i];
            assertNoSystem(next, notReduced);
            next = upgraded();
            next.mergeRoot = wrong[i];
            assertNoSystem(next, notReduced);
            next = upgraded();
            next.shrinkRoots[0] = wrong[i];
            assertNoSystem(next, notReduced);
            next = upgraded();
            next.shrinkRoots[1] = wrong[i];
            assertNoSystem(next, notReduced);
        }
        next.shrinkRoots = new uint256[](9);
        assertNoSystem(next, abi.encodeWithSelector(ProofSystemTimeLock.TooManyCircuits.selector, 9));
    }

    function assertNoSystem(ProofSystem memory next, bytes memory refusal) private {
        vm.expectRevert(refusal);
        vm.prank(GOVERNANCE);
        core.scheduleUpgrade(next);
        vm.expectRevert(refusal);
        deploy(next);
    }

    /// A verifier that was there when the upgrade was scheduled, and destroyed itself since.
    function test_a_verifier_that_went_away_is_not_put_in_force() public {
        ProofSystem memory next = upgraded();
        vm.startPrank(GOVERNANCE);
        core.scheduleUpgrade(next);
        vm.warp(DEPLOYED_AT + DELAY);
        vm.etch(address(next.verifier), "");
        vm.expectRevert(
            abi.encodeWithSelector(ProofSystemTimeLock.VerifierWithoutCode.selector, address(next.verifier))
        );
        core.executeUpgrade(next);
        vm.stopPrank();
    }

    function test_fuzz_no_upgrade_before_the_delay(uint256 scheduledAfter, uint256 executedAfter) public {
        scheduledAfter = bound(scheduledAfter, 0, 365 days);
        executedAfter = bound(executedAfter, 0, 2 * DELAY);
        ProofSystem memory next = upgraded();
        vm.warp(DEPLOYED_AT + scheduledAfter);
        vm.startPrank(GOVERNANCE);
        core.scheduleUpgrade(next);
        vm.warp(DEPLOYED_AT + scheduledAfter + executedAfter);
        if (executedAfter < DELAY) {
            vm.expectRevert(
                abi.encodeWithSelector(
                    ProofSystemTimeLock.UpgradeTooEarly.selector, DEPLOYED_AT + scheduledAfter + DELAY
                )
            );
            core.executeUpgrade(next);
            assertSystem(system);
        } else {
            core.executeUpgrade(next);
            assertSystem(next);
        }
        vm.stopPrank();
    }

    function test_fuzz_who_may_settle_when(address caller, uint256 elapsed) public {
        elapsed = bound(elapsed, 0, 2 * SILENCE);
        vm.assume(caller != OPERATOR);
        vm.warp(DEPLOYED_AT + elapsed);
        if (elapsed < SILENCE) {
            prepare(one);
            vm.expectRevert(
                abi.encodeWithSelector(RollupCore.OperatorNotSilent.selector, caller, DEPLOYED_AT + SILENCE)
            );
            vm.prank(caller);
            core.updateState(one.output, one.openings, one.proof);
        } else {
            settleAs(caller, one);
        }
    }

    // --- Storage ---

    /// Where the README says that things are. They are outside of the slots that the compiler gives away.
    function test_storage_is_where_it_is_documented() public {
        bytes32 state = namespace("sidereal.state");
        vm.assertEq(uint256(vm.load(address(core), state)), genesis.root);
        vm.assertEq(uint256(vm.load(address(core), bytes32(uint256(state) + 1))), genesis.blockHash);
        vm.assertEq(
            uint256(vm.load(address(core), bytes32(uint256(state) + 2))), (DEPLOYED_AT << 64) | genesis.blockNumber
        );
        bytes32 proofs = namespace("sidereal.proof-system");
        vm.assertEq(uint256(vm.load(address(core), proofs)), uint160(address(verifier)));
        vm.assertEq(uint256(vm.load(address(core), bytes32(uint256(proofs) + 5))), system.mergeRoot);
        vm.assertEq(uint256(vm.load(address(core), bytes32(uint256(proofs) + 6))), 2);
        bytes32 roots = keccak256(abi.encode(uint256(proofs) + 6));
        vm.assertEq(uint256(vm.load(address(core), roots)), system.shrinkRoots[0]);
        vm.assertEq(uint256(vm.load(address(core), bytes32(uint256(roots) + 1))), system.shrinkRoots[1]);
        ProofSystem memory next = upgraded();
        vm.prank(GOVERNANCE);
        core.scheduleUpgrade(next);
        vm.assertEq(vm.load(address(core), bytes32(uint256(proofs) + 7)), core.upgradeId(next));
        vm.assertEq(uint256(vm.load(address(core), bytes32(uint256(proofs) + 8))), DEPLOYED_AT + DELAY);

        settle(one);
        settle(many);
        uint256[] memory empty = new uint256[](0);
        uint256 last = 12 + 24 + 6;
        bytes32 messageHash = keccak256(abi.encodePacked(many.output[last], uint256(0xa11ce), uint256(0), empty));
        bytes32 slot = keccak256(abi.encode(messageHash, namespace("sidereal.messages")));
        vm.assertEq(uint256(vm.load(address(core), slot)), 1);
    }

    /// ERC-7201.
    function namespace(string memory name) private pure returns (bytes32) {
        return keccak256(abi.encode(uint256(keccak256(bytes(name))) - 1)) & ~bytes32(uint256(0xff));
    }
}
