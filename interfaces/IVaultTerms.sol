// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ILeveragedVault} from "interfaces/ILeveragedVault.sol";

/// @title What may change about a vault, and who may change it: the timelock inside hard bounds, the guardian for a while.
/// @dev Everything else about a vault is immutable. Units as in ILeveragedVault.
interface IVaultTerms {
    /// @notice When and how much to rebalance (E-5, E-6). Changed by the timelock alone, inside hard bounds.
    /// @param triggers Bit 0 EMERGENCY, bit 1 BAND, bit 2 SCHEDULED; a cleared bit switches that trigger off.
    /// @param period Seconds between scheduled rebalances; 86400 is daily.
    /// @param offset Second of the period, counted from 00:00 UTC, at which the schedule falls due; 120 is 00:02.
    /// @param exclusive First seconds of a schedule in which only the keeper role may act.
    /// @param cooldown Least seconds between two chunks of one rebalance; while an emergency lasts nobody waits.
    /// @param bandMin Lower edge of |leverage|, WAD.
    /// @param bandMax Upper edge of |leverage|, WAD.
    /// @param emergencyMove Move of the index against the position since the last rebalance, WAD fraction.
    /// @param drift Least |leverage - target| that a scheduled rebalance corrects, WAD.
    /// @param tolerance |leverage - target| at which a rebalance counts as complete, WAD.
    /// @param maxSlippage Worst price of a rebalance while |leverage| is inside the band, WAD fraction from the index.
    /// @param emergencySlippage The same at twice `bandMax` and beyond; in between it grows in a line.
    /// @param tipRate Tip for a late scheduled rebalance, WAD of collateral per second of lateness.
    /// @param tipCap Largest such tip, WAD of collateral.
    /// @param minNotional Smallest trade, WAD of collateral.
    /// @param maxNotional Largest trade per call, WAD of collateral.
    struct Policy {
        uint8 triggers;
        uint32 period;
        uint32 offset;
        uint32 exclusive;
        uint32 cooldown;
        uint64 bandMin;
        uint64 bandMax;
        uint64 emergencyMove;
        uint64 drift;
        uint64 tolerance;
        uint64 maxSlippage;
        uint64 emergencySlippage;
        uint64 tipRate;
        uint64 tipCap;
        uint128 minNotional;
        uint128 maxNotional;
    }

    /// @notice What is charged (E-4), WAD fractions: of assets in, of assets out, of equity per day.
    struct Fees {
        uint64 mint;
        uint64 burn;
        uint64 managementPerDay;
    }

    /// @notice Limits on what may come in, in assets net of the mint fee: per UTC day, and on equity in total. Exits have none.
    struct Caps {
        uint128 daily;
        uint128 total;
    }

    /// @notice What the policy says of a vault in the state it is in, at this second, to a caller. Units as in Policy.
    /// @param trigger The trigger that is due.
    /// @param slippage Worst price of a rebalance at this leverage.
    /// @param lateness Seconds for which the schedule has been open to everybody without a rebalance; 0 when there was one.
    /// @param pausedUntil Mints and leverage-increasing trades are stopped before this time.
    struct Ruling {
        ILeveragedVault.Trigger trigger;
        uint256 bandMax;
        uint256 tolerance;
        uint256 slippage;
        uint256 maxSlippage;
        uint256 emergencySlippage;
        uint256 tipRate;
        uint256 tipCap;
        uint256 minNotional;
        uint256 maxNotional;
        uint256 lateness;
        uint256 pausedUntil;
    }

    event PolicyChanged(Policy policy);
    event FeesChanged(Fees fees);
    event CapsChanged(Caps caps);
    event TreasuryChanged(address indexed treasury);
    event Paused(address indexed caller, uint256 until);
    event Resumed(address indexed caller);
    event PauseRearmed(address indexed caller);

    error ZeroAddress();
    error PolicyOutOfBounds(bytes32 field, uint256 value, uint256 min, uint256 max);
    error FeeOutOfBounds(bytes32 field, uint256 value, uint256 max);
    error PauseNotArmed();
    error PauseTooLong(uint256 duration, uint256 max);
    error OnlyRole(address caller, uint64 role);

    function policy() external view returns (Policy memory);
    function fees() external view returns (Fees memory);
    function caps() external view returns (Caps memory);
    /// @notice Receives the fees.
    function treasury() external view returns (address);
    /// @notice Mints and leverage-increasing trades are stopped before this time.
    function pausedUntil() external view returns (uint256);
    /// @notice Whether the guardian may pause.
    function isPauseArmed() external view returns (bool);
    /// @notice Whether `account` holds the keeper role.
    function isKeeper(address account) external view returns (bool);

    /// @notice What every accrual needs: fees on assets, the integral of the management rate up to now (WAD), and who
    /// receives it. The integral makes the fee independent of who calls when, and a change of rate start at the change (I-7).
    function rates()
        external
        view
        returns (uint256 mintFee, uint256 burnFee, uint256 managementIntegral, address treasury_);
    /// @notice What every request needs: how many assets may still come in today and before the total cap, and the least that
    /// may, when `minted` came in today and the vault holds `held`. `scale` is WAD per base unit of the asset.
    function room(uint256 minted, uint256 held, uint256 scale)
        external
        view
        returns (uint256 today, uint256 beforeCap, uint256 least, uint256 pausedUntil_);
    /// @notice What every rebalance needs (E-5, E-6).
    /// @param last The last rebalance.
    /// @param target The vault's target.
    /// @param price Index price now.
    /// @param leverage Leverage now.
    /// @param caller Who would rebalance.
    function rule(
        ILeveragedVault.Rebalancing calldata last,
        int256 target,
        uint256 price,
        int256 leverage,
        address caller
    ) external view returns (Ruling memory);
    /// @notice What every entry needs.
    function limits() external view returns (uint256 bandMax, uint256 dailyCap, uint256 totalCap, uint256 pausedUntil_);

    /// @notice Stop mints and leverage-increasing trades for `duration`. Guardian role; once until rearmed (E-7).
    function pause(uint256 duration) external;
    /// @notice End a pause early. Guardian role.
    function resume() external;
    /// @notice Allow the guardian one more pause. Timelock.
    function rearmPause() external;
    /// @notice Timelock; inside hard bounds.
    function setPolicy(Policy calldata newPolicy) external;
    /// @notice Timelock; at most 100 bp, 100 bp and 10 bp per day. The past is charged at the old rate.
    function setFees(Fees calldata newFees) external;
    /// @notice Timelock.
    function setCaps(Caps calldata newCaps) external;
    /// @notice Timelock.
    function setTreasury(address newTreasury) external;
}
