// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC7540Deposit, IERC7540Operator, IERC7540Redeem} from "interfaces/IERC7540.sol";
import {IERC7575} from "interfaces/IERC7575.sol";
import {ILeveragedToken} from "interfaces/ILeveragedToken.sol";

/// @title The door of a queued vault: requests in, claims out (ERC-7540 over ERC-7575).
/// @notice It knows who asked for what and keeps their collateral and shares; it knows nothing of positions. Requests collect
/// in a batch until the vault commits it, and end when the vault settles or fails it. An order that is pending holds up
/// nobody: new requests join the next batch.
/// @dev A request's id is its batch, counted from 1, deposits and redemptions apart. What a controller has not claimed when
/// it makes a request two batches later moves to a sum of its own, which `claimable…Request` tells under the id 0, and
/// `refundable…Request` what it has not taken back.
interface IRequestQueue is IERC7575, IERC7540Operator, IERC7540Deposit, IERC7540Redeem {
    event Bound(address indexed vault);
    event DepositRequestCancelled(
        address indexed controller, address indexed receiver, uint256 indexed requestId, address sender, uint256 assets
    );
    event RedeemRequestCancelled(
        address indexed controller, address indexed receiver, uint256 indexed requestId, address sender, uint256 shares
    );

    error AlreadyBound(address vault);
    error OnlyVault(address caller, address vault);
    error ZeroAmount();
    error ZeroController();
    error NotOperator(address caller, address controller);
    error RequestTooSmall(uint256 assets, uint256 min);
    error DailyCapExceeded(uint256 assets, uint256 left);
    error TotalCapExceeded(uint256 assets, uint256 left);
    error TransferShort(uint256 got, uint256 wanted);
    error RequestInFlight(uint256 requestId);
    error RequestSettled(uint256 requestId);
    error NoRequest(uint256 requestId, address controller);
    error ExceedsClaimable(uint256 amount, uint256 claimable);
    error CashInTransit(uint256 cashShort);
    error PreviewImpossible();

    /* REQUESTS: the owner, or its operator */

    /// @notice As ERC-7540; `isRefunded` chooses what happens when the batch's order fails: true returns the assets at once,
    /// false carries the request on until it is filled, cancelled, or an hour old.
    function requestDeposit(uint256 assets, address controller, address owner, bool isRefunded)
        external
        returns (uint256 requestId);
    /// @notice The same of a redemption. The owner, its operator, or whom the owner has given an allowance of shares.
    function requestRedeem(uint256 shares, address controller, address owner, bool isRefunded)
        external
        returns (uint256 requestId);
    /// @notice Take a deposit back that is not in flight, or the refund of one that failed. The controller or its operator.
    function cancelDepositRequest(uint256 requestId, address receiver, address controller)
        external
        returns (uint256 assets);
    /// @notice The same of a redemption.
    function cancelRedeemRequest(uint256 requestId, address receiver, address controller)
        external
        returns (uint256 shares);

    /* VIEWS */

    /// @notice What `cancelDepositRequest` returns because an order failed or was filled in part; 0 while it is pending.
    function refundableDepositRequest(uint256 requestId, address controller) external view returns (uint256 assets);
    /// @notice The same of a redemption.
    function refundableRedeemRequest(uint256 requestId, address controller) external view returns (uint256 shares);

    /// @notice The only account that may commit, settle, fail and pay; zero until bound.
    function vault() external view returns (address);
    /// @notice Largest deposit that can be requested now, in assets; reverts with the reason when none can.
    function room() external view returns (uint256);
    /// @notice What a commit would take, and since when the oldest of it waits; nothing of what is in flight.
    function next()
        external
        view
        returns (uint256 assets, uint256 shares, uint256 depositsOpenedAt, uint256 redemptionsOpenedAt);
    /// @notice What is in flight.
    function inFlight() external view returns (uint256 assets, uint256 shares);

    /* THE VAULT'S DOORS */

    /// @notice Make the caller the vault of this queue and `token` its share. Anyone, once: a vault calls it in its constructor, and a vault whose
    /// queue was bound by somebody else cannot be created.
    function bind(ILeveragedToken token) external;
    /// @notice The batches chosen are in flight, and `margin` of the collateral goes to `receiver` with their order.
    function commit(bool deposits, bool redemptions, uint256 margin, address receiver) external;
    /// @notice What is in flight ends.
    /// @param deposits Whether deposits do; redemptions do whenever they are in flight.
    /// @param shares What the deposits get; the vault mints it here.
    /// @param assets What the redemptions get.
    /// @param unfilled WAD fraction of both that the venue did not fill and that is returned.
    /// @param room How many assets may be requested from now on, unless the vault says otherwise when it is asked.
    /// @param least The least that may be.
    function settle(bool deposits, uint256 shares, uint256 assets, uint256 unfilled, uint256 room, uint256 least)
        external;
    /// @notice The order has failed: deposits, or redemptions, are refunded or carried on, as their owners chose. Deposits
    /// stay in flight until their collateral is back.
    function fail(bool deposits) external;
    /// @notice The order has failed, and these assets of the deposits are lost with the position: the rest is refunded.
    function refund(uint256 lost) external;
    /// @notice The venue took everything, and these assets will never come: the redemptions that were settled last go
    /// without. Returns how much that was.
    function writeOff(uint256 assets) external returns (uint256);
    /// @notice The vault is ruined: no more deposits.
    function close() external;
    /// @notice Collateral that lies here goes to `receiver`: fees.
    function pay(address receiver, uint256 assets) external;
}
