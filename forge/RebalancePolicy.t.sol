// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ILeveragedVault} from "interfaces/ILeveragedVault.sol";
import {IVaultTerms} from "interfaces/IVaultTerms.sol";
import {LeverageMath, WAD} from "contracts/libraries/LeverageMath.sol";
import {RebalancePolicy} from "contracts/libraries/RebalancePolicy.sol";
import {LeverageMathHarness} from "contracts/mocks/LeverageMathHarness.sol";
import {Rig, usd} from "./Rig.sol";
import {abs, bound, vm} from "./Vm.sol";

/// @title When a rebalance is due (E-5), over all times and states.
contract RebalancePolicyTest {
    using RebalancePolicy for IVaultTerms.Policy;

    int256 private constant TARGET = 3e18;
    /// @dev 2026-01-05 00:00 UTC.
    uint256 private constant MIDNIGHT = 1_767_571_200;

    LeverageMathHarness private immutable _math = new LeverageMathHarness();
    IVaultTerms.Policy private _policy;

    constructor() {
        _policy = new Rig(TARGET, usd(6)).policyOf(TARGET);
    }

    /* SCHEDULE */

    function test_due__second_by_second_at_the_opening__keeper_first_then_anyone() public view {
        ILeveragedVault.Rebalancing memory last = _last(MIDNIGHT - 1);
        uint256 opens = MIDNIGHT + 120;

        _expect(last, opens - 1, true, ILeveragedVault.Trigger.NONE, "00:01:59, keeper");
        _expect(last, opens, true, ILeveragedVault.Trigger.SCHEDULED, "00:02:00, keeper");
        _expect(last, opens, false, ILeveragedVault.Trigger.NONE, "00:02:00, anyone");
        _expect(last, opens + 1799, false, ILeveragedVault.Trigger.NONE, "00:31:59, anyone");
        _expect(last, opens + 1800, false, ILeveragedVault.Trigger.SCHEDULED, "00:32:00, anyone");
        _expect(last, MIDNIGHT + 1 days - 1, true, ILeveragedVault.Trigger.SCHEDULED, "23:59:59, keeper");
        _expect(last, MIDNIGHT + 1 days + 119, true, ILeveragedVault.Trigger.SCHEDULED, "00:01:59 of the next day");
    }

    /// @dev Once per slot: neither twice nor never, wherever in their slots the two moments lie.
    function test_due__two_moments__once_per_slot(uint256 day, uint256 first, uint256 second, bool isKeeper)
        public
        view
    {
        uint256 opens = MIDNIGHT + bound(day, 0, 10_000) * 1 days + 120;
        first = opens + bound(first, 0, 1 days - 1);
        second = bound(second, first, opens + 2 days - 1);
        bool isSameSlot = second < opens + 1 days;
        bool isOpen = isKeeper || second >= opens + 1 days + 1800;

        ILeveragedVault.Trigger expected =
            isSameSlot || !isOpen ? ILeveragedVault.Trigger.NONE : ILeveragedVault.Trigger.SCHEDULED;

        _expect(_last(first), second, isKeeper, expected, "once per slot");
    }

    function test_slotStart__any_period_and_offset__holds_the_time(uint256 time, uint256 period, uint256 offset)
        public
        view
    {
        IVaultTerms.Policy memory p = _policy;
        p.period = uint32(bound(period, 1 hours, 7 days));
        p.offset = uint32(bound(offset, 0, p.period - 1));
        time = bound(time, p.offset, type(uint40).max);

        uint256 start = p.slotStart(time);

        vm.assertLe(start, time, "begins before");
        vm.assertGt(start + p.period, time, "ends after");
        vm.assertEq((start - p.offset) % p.period, 0, "counted from midnight");
        vm.assertEq(p.slotStart(start), start, "is its own start");
        if (start > p.offset) vm.assertEq(p.slotStart(start - 1), start - p.period, "adjoins the one before");
    }

    function test_lateness__any_time__counts_from_the_opening_to_everybody(uint256 time) public view {
        time = bound(time, MIDNIGHT, MIDNIGHT + 10 days);

        uint256 late = _policy.lateness(time);

        uint256 since = (time - 120) % 1 days;
        vm.assertEq(late, since > 1800 ? since - 1800 : 0, "seconds since 00:32");
    }

    /* EMERGENCY, BAND AND CHUNKS */

    function test_due__any_state__acts_only_where_there_is_something_to_correct(
        int256 leverage,
        uint256 price,
        uint256 from,
        uint256 time,
        uint256 seed
    ) public view {
        int256 target = seed % 2 == 0 ? TARGET : -TARGET;
        leverage = bound(leverage, -20e18, 20e18);
        ILeveragedVault.Rebalancing memory last = ILeveragedVault.Rebalancing({
            price: uint128(bound(from, 0, 1e30)),
            time: uint40(bound(time, MIDNIGHT, MIDNIGHT + 3 days)),
            chunk: ILeveragedVault.Trigger(seed / 2 % 4),
            buying: seed / 8 % 2 == 0
        });
        // An emergency sells a long and buys back a short.
        if (last.chunk == ILeveragedVault.Trigger.EMERGENCY) last.buying = target < 0;

        ILeveragedVault.Trigger trigger = RebalancePolicy.due(
            _policy, last, target, bound(price, 1, 1e30), leverage, last.time + seed / 16 % 2 days, seed % 3 == 0
        );

        uint256 away = abs(leverage - target);
        if (trigger == ILeveragedVault.Trigger.EMERGENCY) {
            vm.assertGt(abs(leverage), abs(target), "an emergency only reduces");
        }
        if (trigger != ILeveragedVault.Trigger.NONE) vm.assertGt(away, _policy.tolerance, "out of tolerance");
        if (abs(leverage) > _policy.bandMax) {
            vm.assertTrue(trigger == ILeveragedVault.Trigger.EMERGENCY, "above the band anyone may act at once");
        }
    }

    function test_due__every_trigger_switched_off__never(int256 leverage, uint256 price, uint256 time) public view {
        IVaultTerms.Policy memory p = _policy;
        p.triggers = 0;

        ILeveragedVault.Trigger trigger = RebalancePolicy.due(
            p, _last(MIDNIGHT), TARGET, bound(price, 1, 1e30), bound(leverage, -1e30, 1e30), bound(time, 0, 1e12), true
        );

        vm.assertTrue(trigger == ILeveragedVault.Trigger.NONE, "off");
    }

    function test_due__price_turned_between_chunks__drops_the_rest(int256 leverage) public view {
        ILeveragedVault.Rebalancing memory last = _last(MIDNIGHT + 1 hours);
        (last.chunk, last.buying) = (ILeveragedVault.Trigger.BAND, true);
        // Inside the band, on the other side of the target.
        leverage = bound(leverage, TARGET, TARGET * 8 / 5);

        _expectAt(last, leverage, last.time + 1 hours, true, ILeveragedVault.Trigger.NONE, "nothing left to buy");
    }

    function test_due__chunks_remain__wait_for_the_cooldown() public view {
        ILeveragedVault.Rebalancing memory last = _last(MIDNIGHT + 1 hours);
        (last.chunk, last.buying) = (ILeveragedVault.Trigger.BAND, true);

        _expectAt(last, 2e18, last.time + 59, false, ILeveragedVault.Trigger.NONE, "59 s");
        _expectAt(last, 2e18, last.time + 60, false, ILeveragedVault.Trigger.BAND, "60 s");
    }

    function test_movedAgainst__long_and_short__mirror(uint256 from, uint256 price) public pure {
        from = bound(from, 1, 1e30);
        price = bound(price, 1, 1e30);

        uint256 long = RebalancePolicy.movedAgainst(from, price, 3e18);
        uint256 short = RebalancePolicy.movedAgainst(from, price, -3e18);

        vm.assertTrue(long == 0 || short == 0, "never against both");
        vm.assertEq(long + short, (price > from ? price - from : from - price) * WAD / from, "the whole move");
    }

    function test_chunk__any_trade__is_cut_to_the_most_and_keeps_its_side(int256 size, uint256 price, uint256 most)
        public
        view
    {
        IVaultTerms.Policy memory p = _policy;
        size = bound(size, -1e36, 1e36);
        price = bound(price, 1e9, 1e30);
        p.maxNotional = uint128(bound(most, 1, type(uint128).max));

        int256 cut = p.chunk(size, price);

        vm.assertLe(abs(cut), abs(size), "never larger");
        vm.assertLe(abs(LeverageMath.notional(cut, price)), p.maxNotional + price / WAD + 1, "at most the most");
        vm.assertTrue(cut == 0 || (cut > 0) == (size > 0), "same side");
    }

    /* EXTREMES */

    function test_due__any_word__answers_or_reverts_but_never_wraps(
        uint128 from,
        uint256 price,
        int256 leverage,
        uint256 time
    ) public view {
        ILeveragedVault.Rebalancing memory last = _last(MIDNIGHT);
        last.price = from;
        try _math.due(_policy, last, TARGET, price, leverage, time, false) returns (ILeveragedVault.Trigger trigger) {
            bool isHigh = leverage > 0 ? uint256(leverage) > _policy.bandMax : uint256(-leverage) > _policy.bandMax;
            if (isHigh) vm.assertTrue(trigger == ILeveragedVault.Trigger.EMERGENCY, "too high is an emergency");
        } catch {}
    }

    function _last(uint256 time) private pure returns (ILeveragedVault.Rebalancing memory) {
        return ILeveragedVault.Rebalancing({
            price: 2000e18, time: uint40(time), chunk: ILeveragedVault.Trigger.NONE, buying: false
        });
    }

    /// @dev At a leverage inside the band and beyond the drift.
    function _expect(
        ILeveragedVault.Rebalancing memory last,
        uint256 time,
        bool isKeeper,
        ILeveragedVault.Trigger expected,
        string memory why
    ) private view {
        _expectAt(last, 2.8e18, time, isKeeper, expected, why);
    }

    function _expectAt(
        ILeveragedVault.Rebalancing memory last,
        int256 leverage,
        uint256 time,
        bool isKeeper,
        ILeveragedVault.Trigger expected,
        string memory why
    ) private view {
        ILeveragedVault.Trigger got = _policy.due(last, TARGET, 2000e18, leverage, time, isKeeper);
        vm.assertEq(uint256(got), uint256(expected), why);
    }
}
