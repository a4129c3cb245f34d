// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title The cheatcodes of forge that these tests use.
interface Vm {
    struct Log {
        bytes32[] topics;
        bytes data;
        address emitter;
    }

    function warp(uint256 time) external;
    function prank(address sender) external;
    function startPrank(address sender) external;
    function stopPrank() external;
    function assume(bool condition) external pure;
    function label(address account, string calldata name) external;
    function expectRevert() external;
    function expectPartialRevert(bytes4 selector) external;
    function expectRevert(bytes calldata data) external;
    function expectEmit(bool topic1, bool topic2, bool topic3, bool data, address emitter) external;
    function recordLogs() external;
    function getRecordedLogs() external returns (Log[] memory);
    function snapshotState() external returns (uint256 id);
    function revertToState(uint256 id) external returns (bool);
    function toString(uint256 value) external pure returns (string memory);
    function toString(int256 value) external pure returns (string memory);
    function toString(bytes calldata value) external pure returns (string memory);
    function assertTrue(bool condition, string calldata why) external pure;
    function assertEq(uint256 left, uint256 right, string calldata why) external pure;
    function assertEq(int256 left, int256 right, string calldata why) external pure;
    function assertEq(address left, address right, string calldata why) external pure;
    function assertEq(bytes32 left, bytes32 right, string calldata why) external pure;
    function assertEq(bytes calldata left, bytes calldata right, string calldata why) external pure;
    function assertLe(uint256 left, uint256 right, string calldata why) external pure;
    function assertLe(int256 left, int256 right, string calldata why) external pure;
    function assertGe(uint256 left, uint256 right, string calldata why) external pure;
    function assertGe(int256 left, int256 right, string calldata why) external pure;
    function assertGt(uint256 left, uint256 right, string calldata why) external pure;
    function assertApproxEqAbs(uint256 left, uint256 right, uint256 most, string calldata why) external pure;
    function assertApproxEqAbs(int256 left, int256 right, uint256 most, string calldata why) external pure;
}

Vm constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

/// @dev `x` folded into [min, max]: itself when it lies inside, else any value inside.
function bound(uint256 x, uint256 min, uint256 max) pure returns (uint256) {
    if (x >= min && x <= max) return x;
    unchecked {
        uint256 range = max - min + 1;
        return range == 0 ? x : min + x % range;
    }
}

/// @dev The same for signed numbers.
function bound(int256 x, int256 min, int256 max) pure returns (int256) {
    if (x >= min && x <= max) return x;
    unchecked {
        uint256 range = uint256(max) - uint256(min) + 1;
        return range == 0 ? x : int256(uint256(min) + uint256(x) % range);
    }
}

/// @dev A number between 1 and 10^`digits`, every order of magnitude as likely as the next.
function anyMagnitude(uint256 seed, uint256 digits) pure returns (uint256) {
    uint256 scale = 10 ** (seed % digits);
    return bound(uint256(keccak256(abi.encode(seed))), scale, scale * 10);
}

function abs(int256 x) pure returns (uint256) {
    unchecked {
        return uint256(x < 0 ? -x : x);
    }
}

/// @dev Whether a venue's slippage is beyond what a trade may cost at `leverage`, WAD: half of what is left (E-6).
function isBeyondHalf(int256 slippage, int256 leverage) pure returns (bool) {
    return slippage > 0 && uint256(slippage) > 1e36 / (2 * abs(leverage) + 1);
}
