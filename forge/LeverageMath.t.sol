// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {INFINITE_LEVERAGE, LeverageMath, VIRTUAL, WAD} from "contracts/libraries/LeverageMath.sol";
import {LeverageMathHarness} from "contracts/mocks/LeverageMathHarness.sol";
import {abs, anyMagnitude, bound, vm} from "./Vm.sol";

/// @title Properties of the formulas: which way they round, what undoes what, and that nothing wraps.
contract LeverageMathTest {
    LeverageMathHarness private immutable _math = new LeverageMathHarness();

    /* SHARES */

    function test_toSharesDown__there_and_back__never_favours_the_caller(uint256 a, uint256 b, uint256 c) public pure {
        (uint256 net, int256 equity, uint256 supply) = _fund(a, b, c);

        uint256 shares = LeverageMath.toSharesDown(net, equity, supply);

        vm.assertLe(LeverageMath.toNetUp(shares, equity, supply), net, "the shares of a net cost no more than it");
    }

    function test_toNetUp__any_shares__is_the_least_that_buys_them(uint256 a, uint256 b, uint256 c) public pure {
        (uint256 shares, int256 equity, uint256 supply) = _fund(a, b, c);

        uint256 net = LeverageMath.toNetUp(shares, equity, supply);

        vm.assertGe(LeverageMath.toSharesDown(net, equity, supply), shares, "enough");
        if (net == 0) return;
        vm.assertGt(shares, LeverageMath.toSharesDown(net - 1, equity, supply), "and not a wei too much");
    }

    function test_toSharesDown__joining__never_lowers_nav(uint256 a, uint256 b, uint256 c) public pure {
        (uint256 net, int256 equity, uint256 supply) = _fund(a, b, c);
        uint256 before = LeverageMath.nav(equity, supply);

        uint256 shares = LeverageMath.toSharesDown(net, equity, supply);

        vm.assertGe(LeverageMath.nav(equity + int256(net), supply + shares), before, "I-2");
    }

    function test_toSharesDown__joining_in_two_parts__buys_no_more(uint256 a, uint256 b, uint256 c, uint256 part)
        public
        pure
    {
        (uint256 net, int256 equity, uint256 supply) = _fund(a, b, c);
        part = bound(part, 0, net);

        uint256 first = LeverageMath.toSharesDown(part, equity, supply);
        uint256 second = LeverageMath.toSharesDown(net - part, equity + int256(part), supply + first);

        vm.assertLe(first + second, LeverageMath.toSharesDown(net, equity, supply), "I-9");
    }

    function test_portionDown__any_sign__is_the_floor(int256 amount, uint256 shares, uint256 supply) public pure {
        amount = bound(amount, -1e38, 1e38);
        supply = bound(supply, 1, 1e38);
        shares = bound(shares, 0, supply);

        int256 taken = LeverageMath.portionDown(amount, shares, supply);

        vm.assertLe(taken * int256(supply), amount * int256(shares), "never more than the exact part");
        vm.assertGe((taken + 1) * int256(supply), amount * int256(shares) + 1, "and less than a wei below it");
        vm.assertLe(abs(taken), abs(amount), "never more than there is");
    }

    function test_nav__edges__is_never_undefined(int256 equity, uint256 supply) public pure {
        equity = bound(equity, -1e38, 1e38);
        supply = bound(supply, 0, 1e38);

        uint256 nav = LeverageMath.nav(equity, supply);

        if (supply == 0) vm.assertEq(nav, WAD, "one while nobody holds a share");
        else if (equity <= 0) vm.assertEq(nav, 0, "nothing when equity is not positive");
        else vm.assertLe(nav * (supply + VIRTUAL), (uint256(equity) + VIRTUAL) * WAD, "rounded down");
    }

    /* FEES */

    function test_feeUp__any_amount__rounds_up_and_splitting_is_not_cheaper(uint256 amount, uint256 part, uint256 rate)
        public
        pure
    {
        amount = bound(amount, 0, 1e38);
        part = bound(part, 0, amount);
        rate = bound(rate, 0, WAD);

        uint256 fee = LeverageMath.feeUp(amount, rate);

        vm.assertGe(fee * WAD, amount * rate, "not below the exact fee");
        vm.assertLe(fee * WAD, amount * rate + WAD - 1, "less than a wei above it");
        vm.assertLe(fee, amount, "never more than the amount");
        vm.assertGe(LeverageMath.feeUp(part, rate) + LeverageMath.feeUp(amount - part, rate), fee, "I-9");
    }

    function test_grossUp__any_net__is_the_least_that_leaves_it(uint256 net, uint256 rate) public pure {
        net = bound(net, 0, 1e38);
        rate = bound(rate, 0, 0.5e18);

        uint256 gross = LeverageMath.grossUp(net, rate);

        vm.assertGe(gross - LeverageMath.feeUp(gross, rate), net, "enough is left");
        if (gross == 0) return;
        vm.assertGt(net, gross - 1 - LeverageMath.feeUp(gross - 1, rate), "and not a wei more than needed");
    }

    /// @dev I-7. Every piece loses less than 8 wei per WAD of supply to the series and 1 wei to its own division.
    function test_managementShares__time_cut_into_pieces__gives_the_same(uint256 supply, uint256 accrued, uint256 seed)
        public
        pure
    {
        supply = anyMagnitude(supply, 30);
        accrued = bound(accrued, 0, 0.001e18 * 365 * 3);
        uint256 pieces = 1 + seed % 20;
        uint256 whole = LeverageMath.managementShares(supply, accrued);

        uint256 minted;
        uint256 left = accrued;
        for (uint256 i = 0; i < pieces; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            uint256 piece = i + 1 == pieces ? left : bound(seed, 0, left);
            minted += LeverageMath.managementShares(supply + minted, piece);
            left -= piece;
        }

        // What a piece loses grows with the fund, at most threefold here.
        uint256 slack = 3 * pieces * (40 * supply / WAD + 2);
        vm.assertApproxEqAbs(minted, whole, slack, "I-7: the fee is the integral for any pattern of calls");
    }

    function test_managementShares__a_year_at_a_basis_point_a_day__is_the_exponential() public pure {
        // exp(0.0365) - 1
        vm.assertApproxEqAbs(LeverageMath.managementShares(WAD, 0.0365e18), 37_174_304_017_749_697, 10, "E-4");
    }

    function test_tip__any_lateness__stays_under_its_cap(uint256 late, uint256 rate, uint256 cap) public pure {
        late = bound(late, 0, 365 days);
        rate = bound(rate, 0, WAD);

        vm.assertLe(LeverageMath.tip(late, rate, cap), cap, "capped");
    }

    /* TRADES */

    function test_sizeToLeverage__any_state__lands_on_it(int256 leverage, uint256 b, int256 size, uint256 price)
        public
        pure
    {
        leverage = bound(leverage, -6e18, 6e18);
        int256 equity = int256(anyMagnitude(b, 30));
        price = bound(price, 1e12, 1e24);
        int256 worth = bound(size, -10 * equity, 10 * equity);
        size = worth * int256(WAD) / int256(price);

        int256 traded = LeverageMath.sizeToLeverage(leverage, equity, size, price);

        int256 wanted = leverage * equity / int256(WAD);
        int256 got = LeverageMath.notional(size + traded, price);
        vm.assertApproxEqAbs(got, wanted, price / WAD + 2, "to a wei of the base");
        vm.assertLe(abs(got), abs(wanted), "never past it");
    }

    /// @dev E-6 at a venue whose cost is proportional to the trade, better fills included.
    function test_sizeNetOfCost__linear_cost__lands_on_the_leverage(
        int256 leverage,
        uint256 b,
        int256 drift,
        int256 rate
    ) public pure {
        leverage = bound(leverage, -5e18, 5e18);
        vm.assume(abs(leverage) >= WAD);
        rate = bound(rate, -0.02e18, 0.02e18);
        uint256 price = 2000e18;
        int256 equity = int256(bound(anyMagnitude(b, 12), 1, 1e12)) * 1e18;
        int256 before = leverage * bound(drift, 0.4e18, 1.8e18) / 1e18;
        int256 size = before * equity / int256(price);

        int256 traded = LeverageMath.sizeToLeverage(leverage, equity, size, price);
        int256 cost = int256(abs(LeverageMath.notional(traded, price))) * rate / 1e18;
        traded = LeverageMath.sizeNetOfCost(traded, price, leverage, cost);

        cost = int256(abs(LeverageMath.notional(traded, price))) * rate / 1e18;
        int256 reached = LeverageMath.leverage(size + traded, price, equity - cost);
        vm.assertApproxEqAbs(reached, leverage, 20_000, "the leverage wanted, to 2e-14");
    }

    function test_sizeNetOfCost__any_cost__never_turns_the_trade_round(int256 size, int256 cost, int256 leverage)
        public
        pure
    {
        size = bound(size, -1e30, 1e30);
        cost = bound(cost, -1e30, 1e30);
        leverage = bound(leverage, -6e18, 6e18);

        int256 corrected = LeverageMath.sizeNetOfCost(size, 2000e18, leverage, cost);

        vm.assertTrue(corrected == 0 || (corrected > 0) == (size > 0), "same direction");
    }

    /// @dev The article's rule 004, to sell after a rise, would raise leverage in a crash.
    function test_sizeToLeverage__after_a_move__trades_with_it_long_or_short(int256 target, int256 moved) public pure {
        target = bound(target, -5e18, 5e18);
        vm.assume(target < -0.1e18 || target > 1.1e18);
        moved = bound(moved, -0.15e18, 0.15e18);
        vm.assume(moved != 0);
        uint256 price = 2000e18;
        int256 equity = 1e24;
        int256 size = target * equity / int256(price);

        uint256 newPrice = uint256(int256(price) * (1e18 + moved) / 1e18);
        int256 cash = equity - LeverageMath.notional(size, price);
        int256 left = LeverageMath.equity(cash, size, newPrice);
        int256 traded = LeverageMath.sizeToLeverage(target, left, size, newPrice);

        vm.assertTrue(traded == 0 || (traded > 0) == (moved > 0), "buys after a rise, sells after a fall");
        // L(L-1)r of the equity before the move.
        int256 expected = target * (target - 1e18) / 1e18 * moved / 1e18 * equity / 1e18;
        vm.assertApproxEqAbs(LeverageMath.notional(traded, newPrice), expected, 1e9, "GOLDEN: drift trade");
    }

    function test_worstPrice__any_side__stands_against_the_trade(uint256 price, int256 size, uint256 slippage)
        public
        pure
    {
        price = bound(price, 1, 1e38);
        slippage = bound(slippage, 0, WAD);

        uint256 worst = LeverageMath.worstPrice(price, size, slippage);

        if (size > 0) vm.assertGe(worst, price, "a buyer's is above");
        else vm.assertLe(worst, price, "a seller's is below");
    }

    /* GEOMETRY */

    function test_moveTo__then_drifted__reaches_the_edge(uint256 a, uint256 b, bool isShort) public pure {
        int256 leverage = int256(bound(a, isShort ? 0.5e18 : 1.1e18, 6e18));
        int256 edge = int256(bound(b, isShort ? 0.5e18 : 1.1e18, 6e18));
        if (isShort) (leverage, edge) = (-leverage, -edge);

        int256 reached = LeverageMath.drifted(leverage, LeverageMath.moveTo(leverage, edge));

        vm.assertApproxEqAbs(reached, edge, 1e6, "moveTo and drifted undo one another");
    }

    function test_drifted__any_move__is_what_happens_to_a_position(int256 leverage, int256 moved) public pure {
        leverage = bound(leverage, -5e18, 5e18);
        moved = bound(moved, -0.9e18, 3e18);
        int256 size = leverage * 1e6 / 2000;
        int256 cash = 1e24 - LeverageMath.notional(size, 2000e18);
        uint256 price = uint256(2000 * (1e18 + moved));
        int256 equity = LeverageMath.equity(cash, size, price);
        vm.assume(equity > 1e22 || equity < -1e22);

        int256 expected = LeverageMath.leverage(size, price, equity);

        if (equity < 0) vm.assertEq(abs(LeverageMath.drifted(leverage, moved)), uint256(INFINITE_LEVERAGE), "ruined");
        else vm.assertApproxEqAbs(LeverageMath.drifted(leverage, moved), expected, 1e6, "L(1+r)/(1+Lr)");
    }

    function test_moveTo__band_of_a_3x__is_asymmetric() public pure {
        vm.assertEq(LeverageMath.moveTo(3e18, 4e18), -111111111111111111, "+3x meets 4x at -11.1 %");
        vm.assertEq(LeverageMath.moveTo(-3e18, -4e18), 66666666666666666, "-3x meets 4x at +6.7 %");
    }

    /* EXTREMES: whatever is answered is exact; what cannot be answered reverts */

    function test_notional__any_word__is_exact_or_reverts(int256 size, uint256 price) public view {
        try _math.notional(size, price) returns (int256 got) {
            vm.assertEq(abs(got), Math.mulDiv(abs(size), price, WAD), "exact");
            vm.assertTrue(got == 0 || (got > 0) == (size > 0), "of the right sign");
        } catch {}
    }

    function test_equity__any_word__is_exact_or_reverts(int256 cash, int256 size, uint256 price) public view {
        try _math.equity(cash, size, price) returns (int256 got) {
            int256 worth = _math.notional(size, price);
            vm.assertTrue(worth >= 0 ? got >= cash : got < cash, "did not wrap");
            vm.assertEq(got - cash, worth, "exact");
        } catch {}
    }

    function test_nav__any_word__is_exact_or_reverts(int256 equity, uint256 supply) public view {
        try _math.nav(equity, supply) returns (uint256 got) {
            if (supply == 0 || equity <= 0) return;
            vm.assertEq(got, Math.mulDiv(uint256(equity) + VIRTUAL, WAD, supply + VIRTUAL), "never a huge nav");
        } catch {}
    }

    function test_shares__negative_equity__reverts(uint256 net, int256 equity, uint256 supply) public {
        supply = bound(supply, 1, type(uint256).max);
        equity = bound(equity, type(int256).min, -1);

        vm.expectRevert(abi.encodeWithSignature("SafeCastOverflowedIntToUint(int256)", equity));
        _math.toSharesDown(net, equity, supply);
        vm.expectRevert(abi.encodeWithSignature("SafeCastOverflowedIntToUint(int256)", equity));
        _math.toNetUp(net, equity, supply);
    }

    function test_shares__any_word__are_exact_or_revert(uint256 net, int256 equity, uint256 supply) public view {
        equity = bound(equity, 0, type(int256).max);
        try _math.toSharesDown(net, equity, supply) returns (uint256 got) {
            if (supply == 0) vm.assertEq(got, net, "one for one");
            else vm.assertEq(got, Math.mulDiv(net, supply + VIRTUAL, uint256(equity) + VIRTUAL), "exact");
        } catch {}
    }

    function test_portion__any_word__is_exact_or_reverts(int256 amount, uint256 shares, uint256 supply) public view {
        try _math.portionDown(amount, shares, supply) returns (int256 got) {
            Math.Rounding rounding = amount < 0 ? Math.Rounding.Ceil : Math.Rounding.Floor;
            vm.assertEq(abs(got), Math.mulDiv(abs(amount), shares, supply, rounding), "exact");
            vm.assertTrue(got == 0 || (got > 0) == (amount > 0), "of the right sign");
        } catch {}
    }

    function test_leverage__any_word__is_exact_or_reverts(int256 size, uint256 price, int256 equity) public view {
        try _math.leverage(size, price, equity) returns (int256 got) {
            vm.assertTrue(got == 0 || (got > 0) == (size > 0), "of the position's sign");
            if (size == 0) vm.assertEq(got, 0, "none");
            else if (equity <= 0) vm.assertEq(abs(got), uint256(INFINITE_LEVERAGE), "infinite");
            else vm.assertEq(abs(got), Math.mulDiv(abs(_math.notional(size, price)), WAD, uint256(equity)), "exact");
        } catch {}
    }

    function _fund(uint256 a, uint256 b, uint256 c) private pure returns (uint256 net, int256 equity, uint256 supply) {
        return (anyMagnitude(a, 24), int256(anyMagnitude(b, 24)), anyMagnitude(c, 24));
    }
}
