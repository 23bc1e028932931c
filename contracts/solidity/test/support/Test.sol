// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Vm} from "./Vm.sol";

/// What tests start from: the cheat codes, and lines that `forge test -vv` prints.
abstract contract Test {
    /// Where Forge answers cheat codes: the last 20 bytes of keccak256("hevm cheat code").
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    // Forge prints events of these names.
    event log(string line);
    event log_named_uint(string name, uint256 value);
    event log_named_bytes32(string name, bytes32 value);

    /// Maps a fuzzed value into `min..=max`.
    function bound(uint256 value, uint256 min, uint256 max) internal pure returns (uint256) {
        if (value >= min && value <= max) return value;
        uint256 size = max - min + 1;
        return size == 0 ? value : min + value % size;
    }
}
