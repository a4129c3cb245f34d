// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Batches} from "contracts/libraries/Batches.sol";
import {LeverageMath, WAD} from "contracts/libraries/LeverageMath.sol";
import {abs, anyMagnitude, bound, vm} from "./Vm.sol";

/// @title Properties of the formulas of batches: who shares what, which way they round, and that parts add up.
contract QueueMathTest {
    using LeverageMath for LeverageMath.Sizes;

    function test_costShare__any_parties__cover_the_cost(int256 a, int256 b, int256 c, uint256 cost) public pure {
        LeverageMath.Sizes memory z = _sizes(a, b, c);
        int256 whole = z.order();
        // Where nothing goes to the venue, nothing costs.
        cost = whole == 0 ? 0 : anyMagnitude(cost, 24);

        uint256 e = LeverageMath.costShare(cost, z.enter, z);
        uint256 l = LeverageMath.costShare(cost, z.leave, z);
        uint256 r = LeverageMath.costShare(cost, z.rebalance, z);

        vm.assertGe(e + l + r, cost, "E-3: all of it is borne");
        vm.assertLe(e + l + r, cost + 2, "and no more but by rounding");
        if (z.enter != 0 && (z.enter > 0) != (whole > 0)) vm.assertEq(e, 0, "who crossed inside pays nothing");
        if (z.leave != 0 && (z.leave > 0) != (whole > 0)) vm.assertEq(l, 0, "who crossed inside pays nothing");
    }

    function test_costShare__larger_part__bears_no_less(int256 a, int256 b, int256 c, uint256 cost) public pure {
        LeverageMath.Sizes memory z = _sizes(a, b, c);
        cost = anyMagnitude(cost, 24);
        int256 whole = z.order();
        if (LeverageMath.along(z.enter, whole) < LeverageMath.along(z.leave, whole)) {
            (z.enter, z.leave) = (z.leave, z.enter);
        }

        vm.assertGe(LeverageMath.costShare(cost, z.enter, z), LeverageMath.costShare(cost, z.leave, z), "by size");
    }

    function test_gainShare__any_parties__never_give_more_than_there_is(int256 a, int256 b, int256 c, uint256 gain)
        public
        pure
    {
        LeverageMath.Sizes memory z = _sizes(a, b, c);
        gain = anyMagnitude(gain, 24);

        uint256 all = LeverageMath.gainShare(gain, z.enter, z) + LeverageMath.gainShare(gain, z.leave, z)
            + LeverageMath.gainShare(gain, z.rebalance, z);

        vm.assertLe(all, gain, "I-2: down");
        if (z.order() != 0) vm.assertGe(all + 2, gain, "but by rounding");
    }

    function test_gainShare__same_party__is_its_costShare_down(int256 a, int256 b, int256 c, uint256 amount)
        public
        pure
    {
        LeverageMath.Sizes memory z = _sizes(a, b, c);
        amount = anyMagnitude(amount, 24);
        uint256 gain = LeverageMath.gainShare(amount, z.leave, z);
        uint256 cost = LeverageMath.costShare(amount, z.leave, z);

        vm.assertTrue(gain == cost || gain + 1 == cost, "one rounds up, one down");
    }

    function test_along__either_direction__is_one_of_the_two(int256 part, int256 whole) public pure {
        part = _signed(part);
        whole = _signed(whole);

        uint256 along = LeverageMath.along(part, whole);
        uint256 against = LeverageMath.along(part, -whole);

        if (whole == 0) {
            return vm.assertEq(LeverageMath.along(part, 0), part < 0 ? abs(part) : 0, "down, by convention");
        }
        vm.assertEq(along + against, abs(part), "all of it");
        vm.assertTrue(along == 0 || against == 0, "once");
    }

    function test_unfilled__any_fill__leaves_no_more_filled_than_was(uint256 a, uint256 b, bool isSell) public pure {
        uint256 whole = anyMagnitude(a, 27);
        uint256 part = bound(b, 0, whole);

        uint256 left = isSell
            ? LeverageMath.unfilled(-int256(part), -int256(whole))
            : LeverageMath.unfilled(int256(part), int256(whole));

        vm.assertLe(left, WAD, "a fraction");
        vm.assertTrue((left == 0) == (part == whole), "none only when all was filled");
        vm.assertLe((WAD - left) * whole, part * WAD, "I-2: up, so that nobody is settled without a fill");
        vm.assertGe((WAD - left) * whole + whole, part * WAD, "by a wei at the most");
    }

    function test_filled__any_fraction__splits_to_the_wei(uint256 amount, uint256 unfilled, uint256 more) public pure {
        amount = anyMagnitude(amount, 27);
        unfilled = bound(unfilled, 0, WAD);
        more = bound(more, unfilled, WAD);

        uint256 part = Batches.filled(amount, unfilled);

        vm.assertLe(part, amount, "a part");
        vm.assertGe(part, Batches.filled(amount, more), "the more is left, the less is settled");
        if (unfilled == 0) vm.assertEq(part, amount, "all");
        if (unfilled == WAD) vm.assertEq(part, 0, "none");
    }

    /// @dev E-3: entrants join at the leverage of those who are there, and never above it.
    function test_joining__any_fund__keeps_leverage(int256 size, uint256 a, uint256 b, uint256 c) public pure {
        size = _signed(size);
        int256 equity = int256(anyMagnitude(a, 27));
        uint256 net = anyMagnitude(b, 27);
        uint256 price = anyMagnitude(c, 24);

        int256 joined = LeverageMath.joining(size, net, equity);

        vm.assertLe(abs(joined) * uint256(equity), abs(size) * net, "I-4: never above");
        vm.assertGe((abs(joined) + 1) * uint256(equity), abs(size) * net, "by a wei of the base at the most");
        vm.assertTrue(joined == 0 || (joined > 0) == (size > 0), "the same side");
        int256 before = LeverageMath.leverage(size, price, equity);
        int256 after_ = LeverageMath.leverage(size + joined, price, equity + int256(net));
        // The notional rounds once in each.
        uint256 slack = WAD / uint256(equity) + 1;
        vm.assertLe(abs(after_), abs(before) + slack, "I-4: in leverage as in size");
    }

    /// @dev I-9: to join in two parts is to join at once, but for a wei.
    function test_joining__in_two_parts__is_the_same(int256 size, uint256 a, uint256 b, uint256 part) public pure {
        size = _signed(size);
        int256 equity = int256(anyMagnitude(a, 27));
        uint256 net = anyMagnitude(b, 27);
        part = bound(part, 0, net);

        int256 whole = LeverageMath.joining(size, net, equity);
        int256 parts = LeverageMath.joining(size, part, equity) + LeverageMath.joining(size, net - part, equity);

        vm.assertLe(abs(whole - parts), 1, "a wei");
    }

    function test_portionDown__leavers_and_stayers__divide_the_whole(int256 amount, uint256 a, uint256 b) public pure {
        amount = _signed(amount);
        uint256 supply = anyMagnitude(a, 27);
        uint256 shares = bound(b, 0, supply);

        int256 gone = LeverageMath.portionDown(amount, shares, supply);
        int256 left = LeverageMath.portionDown(amount, supply - shares, supply);

        vm.assertTrue(gone + left <= amount && gone + left >= amount - 1, "to a wei, down");
        vm.assertEq(LeverageMath.portionDown(amount, supply, supply), amount, "who takes all takes all");
    }

    function test_capped__any_trade__is_cut_and_never_turned(int256 size, uint256 a, uint256 b) public pure {
        size = _signed(size);
        uint256 price = anyMagnitude(a, 24);
        uint256 most = anyMagnitude(b, 30);

        int256 cut = LeverageMath.capped(size, price, most);

        vm.assertLe(abs(cut), abs(size), "never more");
        vm.assertTrue(cut == 0 || (cut > 0) == (size > 0), "the same direction");
        uint256 whole = abs(LeverageMath.notional(size, price));
        if (whole <= most) return vm.assertEq(cut, size, "as it was where it fits");
        // The notional that it was cut by is rounded to a wei.
        vm.assertLe(abs(LeverageMath.notional(cut, price)), most + most / whole + 2, "E-6: no more than a chunk");
    }

    function _sizes(int256 a, int256 b, int256 c) private pure returns (LeverageMath.Sizes memory) {
        return LeverageMath.Sizes(_signed(a), _signed(b), _signed(c));
    }

    /// @dev Of any magnitude and sign, and zero now and then.
    function _signed(int256 x) private pure returns (int256) {
        if (uint256(x) % 8 == 0) return 0;
        int256 size = int256(anyMagnitude(abs(x) / 2, 24));
        return x < 0 ? -size : size;
    }
}
