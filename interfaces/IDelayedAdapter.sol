// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IPerpAdapter} from "interfaces/IPerpAdapter.sol";

/// @title The seam to a venue that fills later: one order at a time, from `submit` to `settle`.
/// @notice Whoever executes an order at the venue, and whether its callback comes or not, `settle` finds out by reading.
/// @dev `position()` counts what is in transit with an order as cash, and tells the account as it was before a fill
/// until that fill is settled: so nobody's equity depends on who settles when. `withdraw` reverts with WithdrawalShort
/// while the venue holds the cash back.
interface IDelayedAdapter is IPerpAdapter {
    /// @notice NONE no order; WAITING at the venue; FILLED there but not settled here; GONE from there without a fill:
    /// cancelled, or removed with a liquidation.
    enum Stage {
        NONE,
        WAITING,
        FILLED,
        GONE
    }

    /// @param stage Where the order is.
    /// @param sizeDelta What it asks for, WAD, buy > 0.
    /// @param fillableFrom First second at which a price may fill it.
    /// @param cancellableFrom First second at which it can be cancelled.
    struct Order {
        Stage stage;
        int256 sizeDelta;
        uint256 fillableFrom;
        uint256 cancellableFrom;
    }

    /// @param before The account at the moment of the fill, without the fill; now, when nothing was filled.
    /// @param fill What was filled; its size is 0 when nothing was. `cash` includes whatever the venue kept for executing.
    /// @param price The venue's index price at the fill, WAD; 0 when nothing was filled.
    /// @param reward What the venue pays for an execution and this account has got itself by executing, WAD.
    struct Outcome {
        Position before;
        Fill fill;
        uint256 price;
        uint256 reward;
    }

    event Submitted(int256 sizeDelta, uint256 assets, uint256 worstPrice);
    event Settled(int256 size, int256 cash, uint256 fee, uint256 price);

    error OrderExists(int256 sizeDelta);
    error NoOrder();
    error OrderWaiting(uint256 now_, uint256 fillableFrom, uint256 cancellableFrom);
    error WrongFee(uint256 sent, uint256 needed);
    error MarginShort(int256 margin, uint256 min);
    error VenuePriceInvalid();

    /// @notice The order that is not settled yet.
    function order() external view returns (Order memory);

    /// @notice What an order of `sizeDelta`, not through zero, would fill at an index price: `quote` at a price of one's own.
    function quoteAt(int256 sizeDelta, uint256 indexPrice) external view returns (Fill memory);

    /// @notice Put `assets` that the vault has just sent here into the account as margin and send an order. Only the vault,
    /// while there is no order.
    /// @dev Value pays what the venue charges for the order; what is left, now or later, goes back to `payer`.
    /// @param sizeDelta Base units, WAD, buy > 0; never through zero to the other side. Zero moves margin alone.
    /// @param assets Collateral that goes with the order.
    /// @param release Collateral that `withdraw` should be able to pay once the order is settled, for venues that let
    /// margin go with an order alone.
    /// @param worstPrice Limit on the fill's average price before fees, WAD; 0 for none.
    /// @param payer Who sent the value.
    function submit(int256 sizeDelta, uint256 assets, uint256 release, uint256 worstPrice, address payer)
        external
        payable;

    /// @notice Bring the order to its end and tell what became of it. Only the vault.
    /// @dev Executes a waiting order with `proof`; takes note of one that somebody else has executed or cancelled; cancels
    /// one that has waited until `cancellableFrom`. Reverts with OrderWaiting when there is nothing to be done yet.
    /// Value pays for the proof; what is left goes back to `payer`.
    /// @param proof Signed prices in the venue's form; empty when no execution is wanted.
    function settle(bytes[] calldata proof, address payer) external payable returns (Outcome memory);
}
