// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {RollupCore} from "../src/RollupCore.sol";
import {RollupHandler} from "./support/RollupHandler.sol";
import {Test} from "./support/Test.sol";

/// Whatever is called by whom in which order, the contract is where the handler's model says: nothing but a good
/// update moves the state, nothing but an upgrade after its delay replaces the proof system, and roles are what
/// governance made them. Forge also calls the contract itself, with any arguments from any accounts.
contract InvariantsTest is Test {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    RollupHandler private handler;
    RollupCore private core;

    function setUp() public {
        handler = new RollupHandler();
        core = handler.rollup();
    }

    /// Read by Forge.
    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](2);
        (targets[0], targets[1]) = (address(handler), address(core));
    }

    /// Read by Forge: the handler's calls that move something.
    function targetSelectors() external view returns (FuzzSelector[] memory selectors) {
        selectors = new FuzzSelector[](1);
        selectors[0].addr = address(handler);
        bytes4[] memory calls = new bytes4[](7);
        calls[0] = handler.settle.selector;
        calls[1] = handler.replay.selector;
        calls[2] = handler.wait.selector;
        calls[3] = handler.schedule.selector;
        calls[4] = handler.cancel.selector;
        calls[5] = handler.execute.selector;
        calls[6] = handler.setRole.selector;
        selectors[0].selectors = calls;
    }

    /// Read by Forge: accounts that hold a role act through the handler only, which keeps the model.
    function excludeSenders() external view returns (address[] memory senders) {
        senders = new address[](4);
        for (uint256 i = 0; i < 4; ++i) {
            senders[i] = handler.accountAt(i);
        }
    }

    function invariant_every_call_did_what_the_model_says() public view {
        vm.assertEq(bytes(handler.violation()), "");
    }

    function invariant_only_updates_move_the_state() public view {
        vm.assertEq(core.stateRoot(), handler.root());
        vm.assertEq(core.stateBlockHash(), handler.blockHash());
        vm.assertEq(core.stateBlockNumber(), handler.number());
        vm.assertEq(core.openFrom(), handler.updatedAt() + core.OPERATOR_SILENCE());
    }

    function invariant_only_upgrades_replace_the_proof_system() public view {
        vm.assertEq(keccak256(abi.encode(core.proofSystem())), handler.systemId());
        (bytes32 pending, uint256 notBefore) = core.pendingUpgrade();
        vm.assertEq(pending, handler.pending());
        if (pending != 0) vm.assertEq(notBefore, handler.notBefore());
    }

    function invariant_only_governance_gives_and_takes_roles() public view {
        for (uint256 i = 0; i < 4; ++i) {
            address account = handler.accountAt(i);
            vm.assertTrue(core.hasRole(core.OPERATOR_ROLE(), account) == handler.isOperator(account));
            vm.assertTrue(core.hasRole(core.GOVERNANCE_ROLE(), account) == handler.isGovernor(account));
            vm.assertFalse(core.hasRole(core.DEFAULT_ADMIN_ROLE(), account));
        }
    }

    /// The handler gets somewhere: without this, a handler whose calls all fail would pass.
    function test_the_handler_settles_and_upgrades() public {
        handler.settle(0, 3, 0, 1);
        handler.settle(2, 3, 0, 2);
        vm.assertEq(handler.settled(), 1);
        handler.wait(3 days);
        handler.settle(2, 3, 0, 2);
        vm.assertEq(handler.settled(), 2);
        for (uint256 flaw = 1; flaw < 11; flaw += 2) {
            handler.settle(0, 3, flaw, 3);
            handler.settle(0, 3, flaw, 4);
        }
        vm.assertEq(handler.settled(), 2);
        handler.replay(0);
        handler.schedule(1, 1);
        handler.execute(1, 1);
        vm.assertEq(handler.replaced(), 0);
        for (uint256 i = 0; i < 3; ++i) {
            handler.wait(4 days);
        }
        handler.execute(1, 2);
        vm.assertEq(handler.replaced(), 0);
        handler.execute(1, 1);
        vm.assertEq(handler.replaced(), 1);
        handler.settle(0, 1, 0, 5);
        vm.assertEq(handler.settled(), 3);
        handler.setRole(1, 0, false, true);
        handler.settle(2, 1, 0, 6);
        vm.assertEq(handler.settled(), 4);
        vm.assertEq(bytes(handler.violation()), "");
        invariant_only_updates_move_the_state();
        invariant_only_upgrades_replace_the_proof_system();
        invariant_only_governance_gives_and_takes_roles();
    }
}
