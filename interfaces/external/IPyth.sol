// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title What is called of Pyth, to which whoever wants to use a price brings it along, signed.
interface IPyth {
    /// @param price In units of 10 ** expo.
    struct Price {
        int64 price;
        uint64 conf;
        int32 expo;
        uint256 publishTime;
    }

    /// @return fee Wei that it takes to bring these prices.
    function getUpdateFee(bytes[] calldata updateData) external view returns (uint256 fee);

    /// @notice The latest price that was brought, however old.
    function getPriceUnsafe(bytes32 id) external view returns (Price memory price);
}
