// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ILeveragedVault} from "interfaces/ILeveragedVault.sol";
import {IRequestQueue} from "interfaces/IRequestQueue.sol";

/// @title A leveraged vault on a venue that fills later: one order at a time, for everybody who waits (E-3).
/// @notice `commit` sends one order for the requests that wait in the queue and for a rebalance that is due; the venue fills
/// it; `settle` books everybody at the fill. Both are anyone's, for a tip in shares. Users' doors are the queue's.
interface IQueuedVault is ILeveragedVault {
    event Committed(
        address indexed caller, Trigger indexed trigger, uint256 assets, uint256 shares, int256 sizeDelta, uint256 price
    );
    /// @notice Requests were booked; a rebalance without any is told by Rebalanced alone.
    event Settled(
        address indexed caller, uint256 price, int256 size, uint256 sharesMinted, uint256 assetsPaid, uint256 tipShares
    );
    event OrderFailed(address indexed caller, int256 size);
    event CashCollected(uint256 assets, uint256 cashShort);

    error WrongAsset(address asset, address expected);
    error OrderPending(uint256 since);
    error RetryTooEarly(uint256 from);
    error CashInTransit(uint256 cashShort);
    error BatchTooSmall(uint256 notional, uint256 min);
    error PriceBeyondLimit(uint256 price, uint256 worst);

    /// @notice Where users request and claim.
    function queue() external view returns (IRequestQueue);
    /// @notice Assets of payouts that the venue has not released yet.
    function cashShort() external view returns (uint256);
    /// @notice How many assets may be requested while `assets` wait: today, and before equity at the last booking meets its
    /// cap; and the least. Reverts with the reason when none may.
    function roomFor(uint256 assets) external view returns (uint256 today, uint256 beforeCap, uint256 least);

    /* ANYONE */

    /// @notice Send one order for everything that waits and for a rebalance that is due (E-5). Anyone; the keeper role
    /// alone makes a scheduled rebalance due in the first `exclusive` seconds of its slot. Deposits wait while they are
    /// stopped or the venue's price is off; redemptions do not. Value pays what the venue charges for an order.
    function commit() external payable returns (Trigger trigger, int256 sizeDelta);
    /// @notice The same without deposits and without a rebalance that raises leverage: for leavers whom the venue would
    /// otherwise keep waiting, because it takes no more of the others.
    function commitExits() external payable returns (Trigger trigger, int256 sizeDelta);
    /// @notice Bring the order to its end: execute it with `proof`, take note of its fill or its failure, or cancel it when
    /// its time is over. Anyone. Value pays for the proof; what is left comes back.
    function settle(bytes[] calldata proof) external payable returns (int256 size);
    /// @notice Fetch payouts and refunds that the venue held back. Anyone.
    function collectCash() external;
}
