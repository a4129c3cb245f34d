// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

uint256 constant WAD = 1e18;

/// @dev A millionth of a unit of collateral and of a share, held by nobody: nav starts at one, and to move it by a
/// donation costs a million times what a rounded-down entrant can lose.
uint256 constant VIRTUAL = 1e12;

/// @dev Leverage of a position whose equity is not positive.
int256 constant INFINITE_LEVERAGE = type(int128).max;

/// @title Every formula of the protocol, pure. Its twin to the wei is leverage/leverage_math.py.
/// @dev All amounts WAD unless named otherwise. Signed division truncates towards zero, as Solidity's does; where a
/// formula can round either way its name says which. Overflow reverts: no cast here can wrap.
library LeverageMath {
    using LeverageMath for int256;
    using SafeCast for int256;
    using SafeCast for uint256;

    /* VALUE */

    /// @notice E-1: cash + size * price.
    function equity(int256 cash, int256 size, uint256 price) internal pure returns (int256) {
        return cash + notional(size, price);
    }

    /// @notice size * price, signed.
    function notional(int256 size, uint256 price) internal pure returns (int256) {
        return size * price.toInt256() / int256(WAD);
    }

    /// @notice Equity per share; 1 when there is no share, 0 when equity is not positive.
    function nav(int256 equity_, uint256 supply) internal pure returns (uint256) {
        if (supply == 0) return WAD;
        if (equity_ <= 0) return 0;
        return (uint256(equity_) + VIRTUAL) * WAD / (supply + VIRTUAL);
    }

    /// @notice Signed leverage; infinite in the position's direction when equity is not positive.
    function leverage(int256 size, uint256 price, int256 equity_) internal pure returns (int256) {
        if (size == 0) return 0;
        if (equity_ <= 0) return size > 0 ? INFINITE_LEVERAGE : -INFINITE_LEVERAGE;
        return notional(size, price) * int256(WAD) / equity_;
    }

    /* SHARES */

    /// @notice E-2: shares for `net` of collateral that joined `equity_`. One for one when there is no share.
    function toSharesDown(uint256 net, int256 equity_, uint256 supply) internal pure returns (uint256) {
        if (supply == 0) return net;
        return net * (supply + VIRTUAL) / (equity_.toUint256() + VIRTUAL);
    }

    /// @notice The least `net` for which `toSharesDown` gives `shares`.
    function toNetUp(uint256 shares, int256 equity_, uint256 supply) internal pure returns (uint256) {
        if (supply == 0) return shares;
        return Math.ceilDiv(shares * (equity_.toUint256() + VIRTUAL), supply + VIRTUAL);
    }

    /// @notice `amount * shares / supply` towards minus infinity: what a leaver takes of the cash and of the position.
    function portionDown(int256 amount, uint256 shares, uint256 supply) internal pure returns (int256) {
        int256 product = amount * shares.toInt256();
        int256 whole = supply.toInt256();
        int256 quotient = product / whole;
        return product < 0 && quotient * whole != product ? quotient - 1 : quotient;
    }

    /* TRADES */

    /// @notice E-6 before its own cost: (leverage * equity - size * price) / price.
    function sizeToLeverage(int256 leverage_, int256 equity_, int256 size, uint256 price)
        internal
        pure
        returns (int256)
    {
        return leverage_ * equity_ / price.toInt256() - size;
    }

    /// @notice What a fill cost against the index: fees and a worse price; negative when it was better than the index.
    function costOf(int256 size, int256 cash, uint256 price) internal pure returns (int256) {
        return -(cash + notional(size, price));
    }

    /// @notice `sizeDelta` corrected for what it costs itself, so that leverage is `leverage_` after the cost is paid.
    /// @dev With cost proportional to size: d * n / (n + leverage * cost), n = d * price. When the cost would turn the
    /// direction round, the uncorrected size is returned.
    function sizeNetOfCost(int256 sizeDelta, uint256 price, int256 leverage_, int256 cost)
        internal
        pure
        returns (int256)
    {
        int256 traded = notional(sizeDelta, price);
        int256 corrected = traded + leverage_ * cost / int256(WAD);
        if (corrected == 0 || (corrected > 0) != (traded > 0)) return sizeDelta;
        return sizeDelta * traded / corrected;
    }

    /// @notice `sizeDelta` cut to a notional of `most`.
    function capped(int256 sizeDelta, uint256 price, uint256 most) internal pure returns (int256) {
        int256 traded = notional(sizeDelta, price).abs();
        return traded <= most.toInt256() ? sizeDelta : sizeDelta * most.toInt256() / traded;
    }

    /// @notice Notional that `size` has beyond what `net` of collateral carries at `leverage_`.
    function excess(int256 size, uint256 price, int256 leverage_, int256 net) internal pure returns (int256) {
        return notional(size, price) - leverage_ * net / int256(WAD);
    }

    /// @notice Where the line through (x0, y0) and (x1, y1) crosses zero; x1 when it does not.
    function secant(int256 x0, int256 y0, int256 x1, int256 y1) internal pure returns (int256) {
        return y0 == y1 ? x1 : x1 - y1 * (x1 - x0) / (y1 - y0);
    }

    /// @notice Collateral that carries `size` at `leverage_`, the two of one sign: size * price / leverage.
    function carrying(int256 size, uint256 price, int256 leverage_) internal pure returns (uint256) {
        return size.abs().toUint256() * price / leverage_.abs().toUint256();
    }

    /// @notice Worst acceptable price of a trade, a fraction `slippage` from `price`.
    function worstPrice(uint256 price, int256 sizeDelta, uint256 slippage) internal pure returns (uint256) {
        return sizeDelta > 0 ? price * (WAD + slippage) / WAD : price * (WAD - slippage) / WAD;
    }

    /* BATCHES */

    /// @notice E-3: what each party adds to the one order of a batch, base units, signed like all sizes.
    struct Sizes {
        int256 enter;
        int256 leave;
        int256 rebalance;
    }

    /// @notice The order that is left when the parties have crossed.
    function order(Sizes memory sizes) internal pure returns (int256) {
        return sizes.enter + sizes.leave + sizes.rebalance;
    }

    /// @notice What a party whose size is `part` bears of the cost of the order, up: those that trade in its direction share by
    /// size; the others crossed inside and pay nothing.
    function costShare(uint256 cost, int256 part, Sizes memory sizes) internal pure returns (uint256) {
        int256 whole = order(sizes);
        uint256 side = along(sizes.enter, whole) + along(sizes.leave, whole) + along(sizes.rebalance, whole);
        return side == 0 ? 0 : Math.ceilDiv(cost * along(part, whole), side);
    }

    /// @notice What a party whose size is `part` gets of a fill's improvement on the index, down, in the same way.
    function gainShare(uint256 gain, int256 part, Sizes memory sizes) internal pure returns (uint256) {
        int256 whole = order(sizes);
        uint256 side = along(sizes.enter, whole) + along(sizes.leave, whole) + along(sizes.rebalance, whole);
        return side == 0 ? 0 : gain * along(part, whole) / side;
    }

    /// @notice |part| when it has the direction of `whole`, else 0.
    function along(int256 part, int256 whole) internal pure returns (uint256) {
        return part != 0 && (part > 0) == (whole > 0) ? part.abs().toUint256() : 0;
    }

    /// @notice WAD fraction of the order `whole` that a fill left, up; the two of one sign.
    function unfilled(int256 filled, int256 whole) internal pure returns (uint256) {
        uint256 part = filled.abs().toUint256();
        uint256 all = whole.abs().toUint256();
        return part >= all ? 0 : Math.ceilDiv((all - part) * WAD, all);
    }

    /// @notice Size that joins `size` so that `net` of new collateral carries the same leverage as `equity_`.
    function joining(int256 size, uint256 net, int256 equity_) internal pure returns (int256) {
        return size * net.toInt256() / equity_;
    }

    /* FEES */

    /// @notice E-4: a fee of `rate` on `amount`, any unit, rounded up.
    function feeUp(uint256 amount, uint256 rate) internal pure returns (uint256) {
        return Math.ceilDiv(amount * rate, WAD);
    }

    /// @notice The least gross amount that leaves `net` after `feeUp`.
    function grossUp(uint256 net, uint256 rate) internal pure returns (uint256) {
        return Math.ceilDiv(net * WAD, WAD - rate);
    }

    /// @notice E-4: shares that dilute holders by exp(-accrued), `accrued` being the integral of the rate since the last
    /// accrual: the same for any pattern of calls (I-7).
    function managementShares(uint256 supply, uint256 accrued) internal pure returns (uint256) {
        return supply * expMinusOne(accrued) / WAD;
    }

    /// @notice exp(x) - 1 by its series, x >= 0.
    function expMinusOne(uint256 x) internal pure returns (uint256 sum) {
        uint256 term = x;
        for (uint256 n = 2; term > 0; ++n) {
            sum += term;
            term = term * x / (n * WAD);
        }
    }

    /// @notice Tip for a scheduled rebalance `late` seconds after it was open to everybody.
    function tip(uint256 late, uint256 rate, uint256 cap) internal pure returns (uint256) {
        return Math.min(late * rate, cap);
    }

    /* GEOMETRY OF LEVERAGE */

    /// @notice Leverage after the index moved by the fraction `move`: L(1+r)/(1+Lr); infinite past ruin.
    function drifted(int256 leverage_, int256 move) internal pure returns (int256) {
        int256 left = int256(WAD) + leverage_ * move / int256(WAD);
        if (left <= 0) return leverage_ > 0 ? INFINITE_LEVERAGE : -INFINITE_LEVERAGE;
        return leverage_ * (int256(WAD) + move) / left;
    }

    /// @notice Move of the index that takes `leverage_` to `edge`: (L-e)/(L(e-1)). +3x reaches 4x at -11.1 %, -3x at +6.7 %.
    function moveTo(int256 leverage_, int256 edge) internal pure returns (int256) {
        return (leverage_ - edge) * int256(WAD) / (leverage_ * (edge - int256(WAD)) / int256(WAD));
    }

    /// @notice Move of the index at which equity is `maintenance` of the notional: (m|L|-1)/(L-m|L|).
    function moveToLiquidation(int256 leverage_, uint256 maintenance) internal pure returns (int256) {
        int256 held = maintenance.toInt256() * leverage_.abs() / int256(WAD);
        return (held - int256(WAD)) * int256(WAD) / (leverage_ - held);
    }

    function abs(int256 x) internal pure returns (int256) {
        return x < 0 ? -x : x;
    }
}
