// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title What is called of Pyth, whose signed prices whoever uses them brings along.
interface IPyth {
    /// @return fee Wei that it takes to bring these prices.
    function getUpdateFee(bytes[] calldata updateData) external view returns (uint256 fee);
}
