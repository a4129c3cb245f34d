// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {ILeveragedVault} from "interfaces/ILeveragedVault.sol";
import {IVaultTerms} from "interfaces/IVaultTerms.sol";
import {LeverageMath, WAD} from "contracts/libraries/LeverageMath.sol";

/// @title When to rebalance and how much (E-5, E-6): a pure function of the state. Its twin is leverage/policy.py.
library RebalancePolicy {
    using LeverageMath for int256;

    uint8 internal constant EMERGENCY = 1;
    uint8 internal constant BAND = 2;
    uint8 internal constant SCHEDULED = 4;

    /// @notice The trigger that is due, first match wins.
    /// @param last The last rebalance.
    /// @param leverage Signed leverage now.
    /// @param time Seconds, the block's.
    /// @param isKeeper Whether the caller holds the keeper role.
    function due(
        IVaultTerms.Policy memory policy,
        ILeveragedVault.Rebalancing memory last,
        int256 target,
        uint256 price,
        int256 leverage,
        uint256 time,
        bool isKeeper
    ) internal pure returns (ILeveragedVault.Trigger) {
        uint256 gearing = uint256(leverage.abs());
        uint256 away = uint256((leverage - target).abs());

        if (
            policy.triggers & EMERGENCY != 0
                && (gearing > policy.bandMax
                    || (gearing > uint256(target.abs()) + policy.tolerance
                        && movedAgainst(last.price, price, target) >= policy.emergencyMove))
        ) return ILeveragedVault.Trigger.EMERGENCY;

        if (isUnfinished(policy, last, target, leverage)) {
            return time < last.time + policy.cooldown ? ILeveragedVault.Trigger.NONE : last.chunk;
        }

        if (policy.triggers & BAND != 0 && (gearing < policy.bandMin || gearing > policy.bandMax)) {
            return ILeveragedVault.Trigger.BAND;
        }

        uint256 opened = slotStart(policy, time);
        if (
            policy.triggers & SCHEDULED != 0 && last.time < opened && away > policy.drift
                && (isKeeper || !isExclusive(policy, time))
        ) return ILeveragedVault.Trigger.SCHEDULED;

        return ILeveragedVault.Trigger.NONE;
    }

    /// @notice Whether chunks of the last rebalance remain: still out of tolerance, on the same side of the target.
    function isUnfinished(
        IVaultTerms.Policy memory policy,
        ILeveragedVault.Rebalancing memory last,
        int256 target,
        int256 leverage
    ) internal pure returns (bool) {
        return last.chunk != ILeveragedVault.Trigger.NONE && last.buying == (leverage < target)
            && uint256((leverage - target).abs()) > policy.tolerance;
    }

    /// @notice Fraction by which the index moved against the position since `from`, WAD; 0 when it moved for it.
    function movedAgainst(uint256 from, uint256 price, int256 target) internal pure returns (uint256) {
        (uint256 low, uint256 high) = target > 0 ? (price, from) : (from, price);
        return high > low && from != 0 ? (high - low) * WAD / from : 0;
    }

    /// @notice Start of the schedule's slot that `time` lies in. Slots are counted from 00:00 UTC plus the offset.
    function slotStart(IVaultTerms.Policy memory policy, uint256 time) internal pure returns (uint256) {
        if (time < policy.offset) return 0;
        return time - (time - policy.offset) % policy.period;
    }

    /// @notice Whether a schedule has opened so lately that it is the keeper role's alone.
    function isExclusive(IVaultTerms.Policy memory policy, uint256 time) internal pure returns (bool) {
        return time < slotStart(policy, time) + policy.exclusive;
    }

    /// @notice Seconds for which a scheduled rebalance has been open to everybody.
    function lateness(IVaultTerms.Policy memory policy, uint256 time) internal pure returns (uint256) {
        uint256 open = slotStart(policy, time) + policy.exclusive;
        return time > open ? time - open : 0;
    }

    /// @notice Cut a trade to the largest allowed per call.
    function chunk(IVaultTerms.Policy memory policy, int256 sizeDelta, uint256 price) internal pure returns (int256) {
        return LeverageMath.capped(sizeDelta, price, policy.maxNotional);
    }

    /// @notice How far from the index a rebalance may trade: `maxSlippage` inside the band, and from there in a line to
    /// `emergencySlippage` at twice the band's upper edge. Who would stand in the way of an early emergency gains no more
    /// than on any other rebalance; who is near ruin trades at almost any price, but never for more than half of what is
    /// left: 1 / (2 * leverage).
    function slippage(IVaultTerms.Policy memory policy, int256 leverage) internal pure returns (uint256) {
        uint256 gearing = uint256(leverage.abs());
        uint256 band = policy.bandMax;
        if (gearing <= band) return policy.maxSlippage;
        uint256 beyond = Math.min(gearing - band, band);
        uint256 allowed = policy.maxSlippage + uint256(policy.emergencySlippage - policy.maxSlippage) * beyond / band;
        return Math.min(allowed, WAD * WAD / (2 * gearing));
    }
}
