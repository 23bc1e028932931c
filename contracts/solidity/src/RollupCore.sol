// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {AggregatedOutput} from "./AggregatedOutput.sol";
import {Blake2s} from "./Blake2s.sol";
import {BlobData} from "./BlobData.sol";
import {MessagesToL1} from "./MessagesToL1.sol";
import {OutputHash} from "./OutputHash.sol";
import {ProofSystem} from "./ProofSystem.sol";
import {ProofSystemTimeLock} from "./ProofSystemTimeLock.sol";

/// The rollup's state on L1: its root, block number and block hash, which nothing but a proof moves.
///
/// One update settles a range of consecutive blocks. It brings the aggregator's output, the blobs with the blocks'
/// state diffs, and one proof, whose statement the contract computes from that output and from the hashes that it
/// holds (`OutputHash`).
contract RollupCore is MessagesToL1, ProofSystemTimeLock {
    using AggregatedOutput for uint256[];

    /// The caller is no operator, and the operator was not silent for long enough.
    error OperatorNotSilent(address caller, uint256 openFrom);
    /// The update begins at another state than the one held.
    error PreviousRoot(uint256 found, uint256 held);
    /// The update begins at another block than the one held: it is old, or there is a gap.
    error PreviousBlockNumber(uint256 found, uint256 held);
    /// The update begins at a block of that number, but another.
    error PreviousBlockHash(uint256 found, uint256 held);
    /// The update does not end at a later block.
    error BlockNumberNotGreater(uint256 found, uint256 held);
    /// The update ends at a block number of more than 64 bits.
    error BlockNumberTooLarge(uint256 found);
    /// The blocks were run by another program than StarknetOS.
    error OsProgramHash(uint256 found, uint256 pinned);
    /// The blocks are of another chain, or with another fee token.
    error ConfigHash(uint256 found, uint256 pinned);
    /// The state diffs are not in blobs.
    error DataNotInBlobs(uint256 useKzgDa);
    /// The state diffs are not in their compressed form.
    error DataNotCompressed(uint256 fullOutput);
    /// The blocks' proofs were wrapped by another circuit.
    error WrapRoot(uint256 found, uint256 pinned);
    /// The blocks' proofs were merged by another circuit.
    error MergeRoot(uint256 found, uint256 pinned);

    /// The state that the rollup begins with.
    event Genesis(uint256 indexed blockNumber, uint256 root, uint256 blockHash);

    /// Blocks `previousBlockNumber + 1` to `newBlockNumber` are settled. `blobs` are the versioned hashes of the blobs
    /// that hold their state diffs, in order.
    event StateUpdated(
        uint256 indexed previousBlockNumber,
        uint256 indexed newBlockNumber,
        address indexed settler,
        uint256 previousRoot,
        uint256 newRoot,
        uint256 previousBlockHash,
        uint256 newBlockHash,
        bytes32[] blobs
    );

    /// Settles while others may not.
    bytes32 public constant OPERATOR_ROLE = keccak256("OPERATOR_ROLE");

    /// Time since the last update from which on anyone may settle, in seconds.
    uint256 public immutable OPERATOR_SILENCE;

    /// A settled state. At genesis, the one thing that is taken on trust.
    struct State {
        uint256 root;
        uint256 blockHash;
        uint64 blockNumber;
    }

    /// @custom:storage-location erc7201:sidereal.state
    struct StateStorage {
        uint256 root;
        uint256 blockHash;
        uint64 blockNumber;
        /// When the last update, or the deployment, was.
        uint64 updatedAt;
    }

    /// ERC-7201's place for "sidereal.state".
    bytes32 private constant STORAGE_LOCATION = 0xaf08a7ef411b92031b1f6f04b6da599297a9477f428ba4c6374a9e23d0540500;

    /// `operatorSilence` and `upgradeDelay` are in seconds and stay as they are.
    constructor(
        State memory genesis,
        ProofSystem memory system,
        address operator,
        uint256 operatorSilence,
        address governance,
        uint256 upgradeDelay
    ) ProofSystemTimeLock(system, governance, upgradeDelay) {
        Blake2s.checkFelt(genesis.root);
        Blake2s.checkFelt(genesis.blockHash);
        OPERATOR_SILENCE = operatorSilence;
        _setRoleAdmin(OPERATOR_ROLE, GOVERNANCE_ROLE);
        _grantRole(OPERATOR_ROLE, operator);
        setState(genesis);
        emit Genesis(genesis.blockNumber, genesis.root, genesis.blockHash);
    }

    /// Root of the settled state.
    function stateRoot() external view returns (uint256) {
        return stateStorage().root;
    }

    /// Number of the last settled block.
    function stateBlockNumber() external view returns (uint256) {
        return stateStorage().blockNumber;
    }

    /// Hash of the last settled block.
    function stateBlockHash() external view returns (uint256) {
        return stateStorage().blockHash;
    }

    /// From when on anyone may settle (Unix time, seconds), if nobody does before.
    function openFrom() public view returns (uint256) {
        return stateStorage().updatedAt + OPERATOR_SILENCE;
    }

    /// Settles blocks.
    ///
    /// The transaction carries the blobs that hold the blocks' state diffs.
    ///
    /// @param output The aggregator's output, see `AggregatedOutput`.
    /// @param openings KZG proofs (48 bytes) of the blobs' values at the output's evaluation point.
    /// @param proof Proof of the last circuit, as the verifier in force reads it.
    function updateState(uint256[] calldata output, bytes[] calldata openings, bytes calldata proof) external {
        checkCaller();
        AggregatedOutput.Parts memory parts = output.partsOf();
        ProofSystem memory system = proofSystem();
        State memory held = stateHeld();
        State memory next = checkContinues(output, held);
        checkPinned(output, parts, system);
        bytes32[] memory blobs = BlobData.check(output, parts, openings);
        uint256 blocks = next.blockNumber - held.blockNumber;
        system.verifier.verify(OutputHash.lastCircuit(output, parts, blocks, system), proof);

        setState(next);
        recordMessages(output, parts.messages, parts.messagesEnd);
        emitUpdate(held, next, blobs);
    }

    /// An operator may settle at any time, and everybody once there was no update for the stated time.
    function checkCaller() private view {
        if (hasRole(OPERATOR_ROLE, msg.sender)) return;
        if (block.timestamp < openFrom()) revert OperatorNotSilent(msg.sender, openFrom());
    }

    /// The update begins where the last one ended, and ends at a later block.
    function checkContinues(uint256[] calldata output, State memory held) private pure returns (State memory) {
        uint256 previousNumber = output[AggregatedOutput.PREVIOUS_BLOCK_NUMBER];
        if (previousNumber != held.blockNumber) revert PreviousBlockNumber(previousNumber, held.blockNumber);
        uint256 previousHash = output[AggregatedOutput.PREVIOUS_BLOCK_HASH];
        if (previousHash != held.blockHash) revert PreviousBlockHash(previousHash, held.blockHash);
        uint256 previousRoot = output[AggregatedOutput.PREVIOUS_ROOT];
        if (previousRoot != held.root) revert PreviousRoot(previousRoot, held.root);
        uint256 number = output[AggregatedOutput.NEW_BLOCK_NUMBER];
        if (number <= held.blockNumber) revert BlockNumberNotGreater(number, held.blockNumber);
        if (number > type(uint64).max) revert BlockNumberTooLarge(number);
        return State({
            root: output[AggregatedOutput.NEW_ROOT],
            blockHash: output[AggregatedOutput.NEW_BLOCK_HASH],
            // The line above has bounded it.
            // forge-lint: disable-next-line(unsafe-typecast)
            blockNumber: uint64(number)
        });
    }

    /// The output is about the programs, the chain, the form of data and the circuits of the proof system in force.
    function checkPinned(uint256[] calldata output, AggregatedOutput.Parts memory parts, ProofSystem memory system)
        private
        pure
    {
        uint256 os = output[AggregatedOutput.OS_PROGRAM_HASH];
        if (os != system.osProgramHash) revert OsProgramHash(os, system.osProgramHash);
        uint256 config = output[AggregatedOutput.CONFIG_HASH];
        if (config != system.configHash) revert ConfigHash(config, system.configHash);
        uint256 useKzgDa = output[AggregatedOutput.USE_KZG_DA];
        if (useKzgDa != 1) revert DataNotInBlobs(useKzgDa);
        uint256 fullOutput = output[AggregatedOutput.FULL_OUTPUT];
        if (fullOutput != 0) revert DataNotCompressed(fullOutput);
        uint256 wrapRoot = output.wrapRoot(parts);
        if (wrapRoot != system.wrapRoot) revert WrapRoot(wrapRoot, system.wrapRoot);
        uint256 mergeRoot = output.mergeRoot(parts);
        if (mergeRoot != system.mergeRoot) revert MergeRoot(mergeRoot, system.mergeRoot);
    }

    function emitUpdate(State memory previous, State memory next, bytes32[] memory blobs) private {
        emit StateUpdated(
            previous.blockNumber,
            next.blockNumber,
            msg.sender,
            previous.root,
            next.root,
            previous.blockHash,
            next.blockHash,
            blobs
        );
    }

    function stateHeld() private view returns (State memory) {
        StateStorage storage held = stateStorage();
        return State(held.root, held.blockHash, held.blockNumber);
    }

    function setState(State memory state) private {
        StateStorage storage held = stateStorage();
        held.root = state.root;
        held.blockHash = state.blockHash;
        held.blockNumber = state.blockNumber;
        held.updatedAt = uint64(block.timestamp);
    }

    function stateStorage() private pure returns (StateStorage storage state) {
        bytes32 location = STORAGE_LOCATION;
        assembly ("memory-safe") {
            state.slot := location
        }
    }
}
