// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IPerpAdapter} from "interfaces/IPerpAdapter.sol";

/// @title The seam to a venue that fills in the same transaction.
interface IInstantAdapter is IPerpAdapter {
    event Adjusted(int256 size, int256 cash, uint256 fee);

    /// @notice Put `assets` that the vault has just sent here into the account as margin and trade `sizeDelta`. Only the vault.
    /// @dev May fill less than asked, when `worstPrice` or the venue's own price window stops it; never more, and never
    /// through zero to the other side. The caller decides whether a partial fill is good enough.
    /// @param sizeDelta Base units, WAD, buy > 0. Zero moves margin alone.
    /// @param assets Collateral to add to the margin.
    /// @param worstPrice Limit on the marginal price before fees, WAD; 0 for none.
    function adjust(int256 sizeDelta, uint256 assets, uint256 worstPrice) external returns (Fill memory);
}
