// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title The one seam between a vault and a perpetual-futures venue.
/// @notice An adapter owns the venue account of exactly one vault. Only that vault may change anything.
/// @dev What all venues have in common. How a trade is made is in IInstantAdapter and IDelayedAdapter.
/// Units: sizes, prices and cash are WAD (1e18); `assets` are in the collateral's own decimals.
/// Read, do not track: neither side keeps a copy of the position.
interface IPerpAdapter {
    /// @param size Position in base units, WAD, long > 0.
    /// @param cash Everything the account is worth apart from `size` times a price, WAD: deposited collateral, realised
    /// and unsettled profit, funding up to now, open notional. Equity at any price P is `cash + size * P`.
    struct Position {
        int256 size;
        int256 cash;
    }

    /// @param size Base units that changed hands, WAD, bought > 0.
    /// @param cash Change of the account's cash by the trade, net of fees, WAD: bought < 0.
    /// @param fee Part of `cash` that is venue fees, WAD.
    struct Fill {
        int256 size;
        int256 cash;
        uint256 fee;
    }

    event Bound(address indexed vault);

    error OnlyVault(address caller, address vault);
    error AlreadyBound(address vault);
    error WithdrawalShort(uint256 got, uint256 wanted);
    error QuoteTooLarge(int256 sizeDelta);

    /// @notice Make the caller the vault of this adapter. Anyone, once: a vault calls it in its constructor, and a vault
    /// whose adapter was bound by somebody else cannot be created.
    function bind() external;

    /// @notice The only account that may trade and withdraw; zero until bound.
    function vault() external view returns (address);

    /// @notice The collateral token.
    function asset() external view returns (address);

    /// @notice The position with everything owed and earned up to this second.
    function position() external view returns (Position memory);

    /// @notice The venue's own price, for the deviation check, WAD. Never used to value the position.
    function price() external view returns (uint256);

    /// @notice Highest |leverage| at which the venue lets a position be opened, WAD.
    function maxLeverage() external view returns (uint256);

    /// @notice What a trade of `sizeDelta` would fill at the venue's present state, to the wei, without a price limit.
    /// @dev Does not know the venue's margin, price-window and pause rules: the trade itself may still revert.
    function quote(int256 sizeDelta) external view returns (Fill memory);

    /// @notice Pay `assets` of margin to `receiver`. Only the vault. Pays in full or reverts.
    function withdraw(uint256 assets, address receiver) external;
}
