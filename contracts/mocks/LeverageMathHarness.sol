// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ILeveragedVault} from "interfaces/ILeveragedVault.sol";
import {IVaultTerms} from "interfaces/IVaultTerms.sol";
import {LeverageMath} from "contracts/libraries/LeverageMath.sol";
import {RebalancePolicy} from "contracts/libraries/RebalancePolicy.sol";

/// @title Exposes LeverageMath and RebalancePolicy, function for function, to the differential tests.
/// @dev Warning: for tests only. There is nothing to stop: no state.
contract LeverageMathHarness {
    /// @notice Many calls of the functions below in one; a call that reverts spoils nobody else's result.
    function batch(bytes[] calldata calls) external view returns (bool[] memory isOk, bytes[] memory results) {
        isOk = new bool[](calls.length);
        results = new bytes[](calls.length);
        for (uint256 i = 0; i < calls.length; ++i) {
            (isOk[i], results[i]) = address(this).staticcall(calls[i]);
        }
    }

    /* LEVERAGE MATH */

    function equity(int256 cash, int256 size, uint256 price) external pure returns (int256) {
        return LeverageMath.equity(cash, size, price);
    }

    function notional(int256 size, uint256 price) external pure returns (int256) {
        return LeverageMath.notional(size, price);
    }

    function nav(int256 equity_, uint256 supply) external pure returns (uint256) {
        return LeverageMath.nav(equity_, supply);
    }

    function leverage(int256 size, uint256 price, int256 equity_) external pure returns (int256) {
        return LeverageMath.leverage(size, price, equity_);
    }

    function toSharesDown(uint256 net, int256 equity_, uint256 supply) external pure returns (uint256) {
        return LeverageMath.toSharesDown(net, equity_, supply);
    }

    function toNetUp(uint256 shares, int256 equity_, uint256 supply) external pure returns (uint256) {
        return LeverageMath.toNetUp(shares, equity_, supply);
    }

    function portionDown(int256 amount, uint256 shares, uint256 supply) external pure returns (int256) {
        return LeverageMath.portionDown(amount, shares, supply);
    }

    function sizeToLeverage(int256 leverage_, int256 equity_, int256 size, uint256 price)
        external
        pure
        returns (int256)
    {
        return LeverageMath.sizeToLeverage(leverage_, equity_, size, price);
    }

    function costOf(int256 size, int256 cash, uint256 price) external pure returns (int256) {
        return LeverageMath.costOf(size, cash, price);
    }

    function sizeNetOfCost(int256 sizeDelta, uint256 price, int256 leverage_, int256 cost)
        external
        pure
        returns (int256)
    {
        return LeverageMath.sizeNetOfCost(sizeDelta, price, leverage_, cost);
    }

    function capped(int256 sizeDelta, uint256 price, uint256 most) external pure returns (int256) {
        return LeverageMath.capped(sizeDelta, price, most);
    }

    function excess(int256 size, uint256 price, int256 leverage_, int256 net) external pure returns (int256) {
        return LeverageMath.excess(size, price, leverage_, net);
    }

    function secant(int256 x0, int256 y0, int256 x1, int256 y1) external pure returns (int256) {
        return LeverageMath.secant(x0, y0, x1, y1);
    }

    function carrying(int256 size, uint256 price, int256 leverage_) external pure returns (uint256) {
        return LeverageMath.carrying(size, price, leverage_);
    }

    function worstPrice(uint256 price, int256 sizeDelta, uint256 slippage) external pure returns (uint256) {
        return LeverageMath.worstPrice(price, sizeDelta, slippage);
    }

    function order(LeverageMath.Sizes memory sizes) external pure returns (int256) {
        return LeverageMath.order(sizes);
    }

    function costShare(uint256 cost, int256 part, LeverageMath.Sizes memory sizes) external pure returns (uint256) {
        return LeverageMath.costShare(cost, part, sizes);
    }

    function gainShare(uint256 gain, int256 part, LeverageMath.Sizes memory sizes) external pure returns (uint256) {
        return LeverageMath.gainShare(gain, part, sizes);
    }

    function along(int256 part, int256 whole) external pure returns (uint256) {
        return LeverageMath.along(part, whole);
    }

    function unfilled(int256 filled, int256 whole) external pure returns (uint256) {
        return LeverageMath.unfilled(filled, whole);
    }

    function joining(int256 size, uint256 net, int256 equity_) external pure returns (int256) {
        return LeverageMath.joining(size, net, equity_);
    }

    function feeUp(uint256 amount, uint256 rate) external pure returns (uint256) {
        return LeverageMath.feeUp(amount, rate);
    }

    function grossUp(uint256 net, uint256 rate) external pure returns (uint256) {
        return LeverageMath.grossUp(net, rate);
    }

    function managementShares(uint256 supply, uint256 accrued) external pure returns (uint256) {
        return LeverageMath.managementShares(supply, accrued);
    }

    function expMinusOne(uint256 x) external pure returns (uint256) {
        return LeverageMath.expMinusOne(x);
    }

    function tip(uint256 late, uint256 rate, uint256 cap) external pure returns (uint256) {
        return LeverageMath.tip(late, rate, cap);
    }

    function drifted(int256 leverage_, int256 move) external pure returns (int256) {
        return LeverageMath.drifted(leverage_, move);
    }

    function moveTo(int256 leverage_, int256 edge) external pure returns (int256) {
        return LeverageMath.moveTo(leverage_, edge);
    }

    function moveToLiquidation(int256 leverage_, uint256 maintenance) external pure returns (int256) {
        return LeverageMath.moveToLiquidation(leverage_, maintenance);
    }

    /* REBALANCE POLICY */

    function due(
        IVaultTerms.Policy memory policy,
        ILeveragedVault.Rebalancing memory last,
        int256 target,
        uint256 price,
        int256 leverage_,
        uint256 time,
        bool isKeeper
    ) external pure returns (ILeveragedVault.Trigger) {
        return RebalancePolicy.due(policy, last, target, price, leverage_, time, isKeeper);
    }

    function isUnfinished(
        IVaultTerms.Policy memory policy,
        ILeveragedVault.Rebalancing memory last,
        int256 target,
        int256 leverage_
    ) external pure returns (bool) {
        return RebalancePolicy.isUnfinished(policy, last, target, leverage_);
    }

    function movedAgainst(uint256 from, uint256 price, int256 target) external pure returns (uint256) {
        return RebalancePolicy.movedAgainst(from, price, target);
    }

    function slotStart(IVaultTerms.Policy memory policy, uint256 time) external pure returns (uint256) {
        return RebalancePolicy.slotStart(policy, time);
    }

    function slippage(IVaultTerms.Policy memory policy, int256 leverage_) external pure returns (uint256) {
        return RebalancePolicy.slippage(policy, leverage_);
    }

    function isExclusive(IVaultTerms.Policy memory policy, uint256 time) external pure returns (bool) {
        return RebalancePolicy.isExclusive(policy, time);
    }

    function lateness(IVaultTerms.Policy memory policy, uint256 time) external pure returns (uint256) {
        return RebalancePolicy.lateness(policy, time);
    }

    function chunk(IVaultTerms.Policy memory policy, int256 sizeDelta, uint256 price) external pure returns (int256) {
        return RebalancePolicy.chunk(policy, sizeDelta, price);
    }
}
