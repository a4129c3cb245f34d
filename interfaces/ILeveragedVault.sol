// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IPerpAdapter} from "interfaces/IPerpAdapter.sol";
import {IPriceOracle} from "interfaces/IPriceOracle.sol";
import {ILeveragedToken} from "interfaces/ILeveragedToken.sol";
import {IVaultTerms} from "interfaces/IVaultTerms.sol";

/// @title A vault that holds a perpetual-futures position at a fixed target leverage and issues one token against it.
/// @notice The rules are numbered in docs/spec.md (E- economics, I- invariants); comments cite the numbers.
/// @dev Units: `assets` in the collateral's own decimals, `shares` 18 decimals, all else WAD (1e18) and seconds.
interface ILeveragedVault {
    /* TYPES */

    /// @notice Why a rebalance is due (E-5).
    enum Trigger {
        NONE,
        EMERGENCY,
        BAND,
        SCHEDULED
    }

    /// @notice What the policy remembers of the last rebalance.
    /// @param price Index price at the last rebalance or first mint, WAD.
    /// @param time When that was.
    /// @param chunk Trigger of a rebalance whose remaining chunks are due, else NONE.
    /// @param buying Whether that rebalance buys.
    struct Rebalancing {
        uint128 price;
        uint40 time;
        Trigger chunk;
        bool buying;
    }

    /// @notice Everything a keeper, a wallet or a page needs, from one call. The same words as in Python.
    struct Snapshot {
        uint256 timestamp;
        uint256 price;
        uint256 venuePrice;
        int256 size;
        int256 equity;
        uint256 supply;
        uint256 nav;
        int256 leverage;
        int256 target;
        Rebalancing rebalancing;
        uint256 pausedUntil;
        bool ruined;
    }

    /// @notice Why nav is what it is (E-9): cumulative, per share, WAD. The lines add up to `nav - 1e18` exactly.
    /// @param price Size times the change of the index price.
    /// @param funding Funding paid or received, and gifts to the venue account.
    /// @param venueFee Fees of the venue on rebalances, and tips to those who called them.
    /// @param slippage Fills of rebalances worse or better than the index, better fills of entrants, and liquidations.
    /// @param managementFee Dilution by the management fee.
    /// @param rounding What integer division left to the holders, or took.
    struct Attribution {
        int128 price;
        int128 funding;
        int128 venueFee;
        int128 slippage;
        int128 managementFee;
        int128 rounding;
    }

    /// @notice State at the last booking, from which the next change is attributed.
    struct Mark {
        uint128 nav;
        uint128 price;
        int128 size;
        int128 cash;
    }

    /* EVENTS */

    event Rebalanced(
        Trigger indexed trigger,
        address indexed caller,
        int256 size,
        uint256 price,
        int256 leverageBefore,
        int256 leverageAfter,
        uint256 fee,
        int256 slippage,
        uint256 tipShares
    );
    event Accrued(uint256 feeShares, uint256 supply);
    event Booked(uint256 nav, uint256 price, Attribution attribution);
    event FeesCollected(address indexed treasury, uint256 assets);
    event Ruined(int256 equity, int256 size);

    /* ERRORS */

    error ZeroAmount();
    error TargetOutOfRange(int256 target);
    error UnsupportedDecimals(uint256 decimals, uint256 max);
    error MintsPaused(uint256 until);
    error VaultRuined();
    error Underwater(int256 equity);
    error PositionGone(int256 size, int256 expected);
    error LeverageTooHigh(int256 leverage, uint256 max);
    error DailyCapExceeded(uint256 assets, uint256 left);
    error TotalCapExceeded(uint256 assets, uint256 left);
    error PartialFill(int256 filled, int256 wanted);
    error TransferShort(uint256 got, uint256 wanted);
    error CostExceedsDeposit(uint256 cost, uint256 assets);
    error TooFewShares(uint256 shares, uint256 min);
    error TooManyShares(uint256 shares, uint256 max);
    error TooFewAssets(uint256 assets, uint256 min);
    error TooManyAssets(uint256 assets, uint256 max);
    error NothingDue(int256 leverage, int256 target);
    error TradeTooSmall(uint256 notional, uint256 min);
    error NothingFilled(int256 wanted);
    error DeadlinePassed(uint256 deadline, uint256 now_);

    /* VIEWS: anyone; revert while the price is unusable (I-11) and while the vault is in the middle of a call */

    function token() external view returns (ILeveragedToken);
    function adapter() external view returns (IPerpAdapter);
    function oracle() external view returns (IPriceOracle);
    /// @notice What the timelock and the guardian may change.
    function terms() external view returns (IVaultTerms);
    function target() external view returns (int256);
    function feesOwed() external view returns (uint256);
    function mintedToday() external view returns (uint256);
    function isRuined() external view returns (bool);

    /// @notice Equity at the index price, WAD, signed (E-1).
    function equity() external view returns (int256);
    /// @notice Equity per share, WAD; 1e18 when nobody holds a share, 0 when equity is not positive.
    function nav() external view returns (uint256);
    /// @notice Signed size times price over equity, WAD.
    function leverage() external view returns (int256);
    /// @notice All of the above in one call.
    function snapshot() external view returns (Snapshot memory);
    /// @notice The trigger that a rebalance by `caller` would act on now, or NONE.
    function due(address caller) external view returns (Trigger);
    /// @notice The ledger brought up to now, with the nav that its lines explain (E-9).
    function attribution() external view returns (Attribution memory lines, uint256 nav_);
    /// @notice State at the last booking; readable without a price.
    function mark() external view returns (Mark memory);

    /* ANYONE */

    /// @notice Book the management fee and the ledger up to now. Anyone; changes no claim but the fee's.
    function accrue() external;
    /// @notice Record that the vault is ruined, if it is (E-8). Anyone; never reverts for a vault that is not.
    function checkRuin() external returns (bool);
    /// @notice Send the mint and burn fees to the treasury. Anyone.
    function collectFees() external returns (uint256 assets);
}
