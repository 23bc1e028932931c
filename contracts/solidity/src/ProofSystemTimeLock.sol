// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Blake2s} from "./Blake2s.sol";
import {ProofSystem} from "./ProofSystem.sol";
import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";

/// The proof system in force, and the only way to replace it: governance schedules another one, everybody can see it
/// for the whole delay, and then governance puts it in force. The delay is the deployment's; nobody can shorten it.
abstract contract ProofSystemTimeLock is AccessControl {
    /// An upgrade waits already: cancel it first.
    error UpgradePending(bytes32 id, uint256 notBefore);
    /// No upgrade waits.
    error NoUpgradePending();
    /// Another upgrade waits than the one named.
    error UpgradeMismatch(bytes32 found, bytes32 expected);
    /// The delay is not over.
    error UpgradeTooEarly(uint256 notBefore);
    /// There is no contract at the verifier's address.
    error VerifierWithoutCode(address verifier);
    /// A circuit's root is no hash of eight words below 2^31 - 1.
    error RootNotReduced(uint256 root);
    /// There are more circuits in a row than anybody needs.
    error TooManyCircuits(uint256 found);

    /// From `notBefore` (Unix time, seconds) on, governance may put `system` in force.
    event UpgradeScheduled(bytes32 indexed id, ProofSystem system, uint256 notBefore);
    event UpgradeCancelled(bytes32 indexed id);
    /// `system` is in force.
    event ProofSystemReplaced(bytes32 indexed id, ProofSystem system);

    /// Replaces the proof system; gives and takes the roles, this one included.
    bytes32 public constant GOVERNANCE_ROLE = keccak256("GOVERNANCE_ROLE");

    /// Time between scheduling an upgrade and the first moment that it can be put in force, in seconds.
    uint256 public immutable UPGRADE_DELAY;

    /// Bounds what an update reads and hashes.
    uint256 private constant MAX_SHRINK_ROOTS = 8;

    /// @custom:storage-location erc7201:sidereal.proof-system
    struct ProofSystemStorage {
        ProofSystem current;
        /// Hash of the proof system that waits, or zero.
        bytes32 pending;
        /// When it may be put in force.
        uint256 notBefore;
    }

    /// ERC-7201's place for "sidereal.proof-system".
    bytes32 private constant STORAGE_LOCATION = 0x476b80646d4d8252031665906970b012b46423ab24ba0c2d27eb08e1d0066900;

    constructor(ProofSystem memory system, address governance, uint256 upgradeDelay) {
        UPGRADE_DELAY = upgradeDelay;
        // Nobody holds AccessControl's default admin role.
        _setRoleAdmin(GOVERNANCE_ROLE, GOVERNANCE_ROLE);
        _grantRole(GOVERNANCE_ROLE, governance);
        putInForce(system);
    }

    /// The proof system in force.
    function proofSystem() public view returns (ProofSystem memory) {
        return proofSystemStorage().current;
    }

    /// The upgrade that waits and when it may be put in force; zeros if none does.
    function pendingUpgrade() external view returns (bytes32 id, uint256 notBefore) {
        ProofSystemStorage storage systems = proofSystemStorage();
        return (systems.pending, systems.notBefore);
    }

    /// Name of a proof system in the time lock.
    function upgradeId(ProofSystem calldata system) public pure returns (bytes32) {
        return keccak256(abi.encode(system));
    }

    /// Announces another proof system. One upgrade waits at a time.
    function scheduleUpgrade(ProofSystem calldata system) external onlyRole(GOVERNANCE_ROLE) {
        ProofSystemStorage storage systems = proofSystemStorage();
        if (systems.pending != 0) revert UpgradePending(systems.pending, systems.notBefore);
        checkSystem(system);
        bytes32 id = upgradeId(system);
        uint256 notBefore = block.timestamp + UPGRADE_DELAY;
        systems.pending = id;
        systems.notBefore = notBefore;
        emit UpgradeScheduled(id, system, notBefore);
    }

    /// Takes the announcement back.
    function cancelUpgrade() external onlyRole(GOVERNANCE_ROLE) {
        ProofSystemStorage storage systems = proofSystemStorage();
        bytes32 id = systems.pending;
        if (id == 0) revert NoUpgradePending();
        delete systems.pending;
        delete systems.notBefore;
        emit UpgradeCancelled(id);
    }

    /// Puts the announced proof system in force.
    function executeUpgrade(ProofSystem calldata system) external onlyRole(GOVERNANCE_ROLE) {
        ProofSystemStorage storage systems = proofSystemStorage();
        if (systems.pending == 0) revert NoUpgradePending();
        bytes32 id = upgradeId(system);
        if (id != systems.pending) revert UpgradeMismatch(id, systems.pending);
        if (block.timestamp < systems.notBefore) revert UpgradeTooEarly(systems.notBefore);
        delete systems.pending;
        delete systems.notBefore;
        putInForce(system);
    }

    function putInForce(ProofSystem memory system) private {
        checkSystem(system);
        proofSystemStorage().current = system;
        emit ProofSystemReplaced(keccak256(abi.encode(system)), system);
    }

    function checkSystem(ProofSystem memory system) private view {
        if (address(system.verifier).code.length == 0) revert VerifierWithoutCode(address(system.verifier));
        Blake2s.checkFelt(system.osProgramHash);
        Blake2s.checkFelt(system.aggregatorProgramHash);
        Blake2s.checkFelt(system.configHash);
        checkRoot(system.wrapRoot);
        checkRoot(system.mergeRoot);
        uint256 circuits = system.shrinkRoots.length;
        if (circuits > MAX_SHRINK_ROOTS) revert TooManyCircuits(circuits);
        for (uint256 i = 0; i < circuits; ++i) {
            checkRoot(system.shrinkRoots[i]);
        }
    }

    function checkRoot(uint256 root) private pure {
        if (!Blake2s.isReduced(root)) revert RootNotReduced(root);
    }

    function proofSystemStorage() private pure returns (ProofSystemStorage storage systems) {
        bytes32 location = STORAGE_LOCATION;
        assembly ("memory-safe") {
            systems.slot := location
        }
    }
}
