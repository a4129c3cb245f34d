// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ILeveragedVault} from "interfaces/ILeveragedVault.sol";
import {IQueuedVault} from "interfaces/IQueuedVault.sol";
import {IVaultTerms} from "interfaces/IVaultTerms.sol";
import {LeverageMath} from "contracts/libraries/LeverageMath.sol";
import {QueueRig} from "./QueueRig.sol";
import {usd} from "./Rig.sol";
import {vm} from "./Vm.sol";

/// @title What reading and the random search found in the queued vault, each in its smallest form.
contract QueueFoundLongTest is QueueRig {
    constructor() QueueRig(3e18, usd(6)) {
        changeFees(0, 0, 0);
        enter(minter, 1_000 * unit);
    }

    /* REFUNDS */

    /// @dev Who had left the batch at its first failure drew on what was refunded to the others at its last.
    function test_cancelDepositRequest__after_a_second_failure__returns_what_was_asked() public {
        requestDeposit(redeemer, 100 * unit, true);
        requestDeposit(outsider, 50 * unit, false);
        miss(keeper);
        wait_(1 hours);
        miss(keeper);

        vm.assertEq(cancelDeposit(redeemer, 2), 100 * unit, "who left at the first failure");
        vm.assertEq(cancelDeposit(outsider, 2), 50 * unit, "who was carried on to the second");
    }

    function test_cancelRedeemRequest__after_a_second_failure__returns_what_was_asked() public {
        vm.prank(minter);
        token.transfer(redeemer, 300e18);
        requestRedeem(minter, 200e18, true);
        requestRedeem(redeemer, 100e18, false);
        miss(keeper);
        wait_(1 hours);
        miss(keeper);

        vm.assertEq(cancelRedeem(minter, 1), 200e18, "who left at the first failure");
        vm.assertEq(cancelRedeem(redeemer, 1), 100e18, "who was carried on to the second");
    }

    /// @dev Who had left the batch was locked in with those who tried again.
    function test_cancelDepositRequest__while_the_others_try_again__returns_what_was_asked() public {
        uint256 id = requestDeposit(redeemer, 100 * unit, true);
        requestDeposit(outsider, 50 * unit, false);
        miss(keeper);
        wait_(2 minutes);
        commit(keeper);
        vm.assertEq(queue.refundableDepositRequest(id, redeemer), 100 * unit, "said to be refundable");

        vm.assertEq(cancelDeposit(redeemer, id), 100 * unit, "at once");
    }

    /// @dev A wei of shares in somebody else's name chose for him.
    function test_requestRedeem__for_another__leaves_his_choice_alone() public {
        vm.startPrank(minter);
        token.transfer(redeemer, 300e18);
        token.transfer(attacker, 1);
        vm.stopPrank();
        uint256 id = requestRedeem(redeemer, 300e18, false);

        vm.prank(attacker);
        queue.requestRedeem(1, redeemer, attacker, true);

        miss(keeper);
        vm.assertGe(queue.pendingRedeemRequest(id, redeemer), 300e18, "I-14: carried on, as he chose");
    }

    /* ROOM */

    /// @dev A batch larger than the room that was left for it could not be committed, nor anything beside it.
    function test_commit__batch_larger_than_the_room_now__goes() public {
        changeCaps(type(uint128).max, uint128(2_000 * unit));
        requestDeposit(redeemer, 100 * unit, false);
        commit(keeper);
        requestDeposit(redeemer, 890 * unit, false);
        requestRedeem(minter, 100e18, false);
        wait_(venue.fillableFrom());
        // Equity grows by 45, and 855 are left.
        move(2_030e18);
        settle(keeper);

        (, int256 size) = commit(keeper);

        vm.assertTrue(size != 0, "I-6: nobody waits for the cap");
    }

    function test_commit__batch_that_waited_for_a_pause_to_end__goes() public {
        requestDeposit(redeemer, 100 * unit, false);
        commit(keeper);
        requestDeposit(redeemer, 200 * unit, false);
        requestRedeem(minter, 100e18, false);
        vm.prank(guardian);
        terms.pause(1 days);
        wait_(venue.fillableFrom());
        settle(keeper);
        wait_(1 days);

        (, int256 size) = commit(keeper);

        vm.assertTrue(size != 0, "I-12: what waited goes on");
    }

    /// @dev What had ever been redeemed was counted against a room that nothing gave back.
    function test_requestRedeem__after_many_others__is_taken() public {
        venue.fund(1e14 - vault.equity());
        fill(keeper);
        for (uint256 i = 0; i < 3; ++i) {
            leave_(attacker, enter(attacker, 1_000_000 * unit));
        }

        requestRedeem(minter, token.balanceOf(minter), false);
    }

    /* CASH THAT THE VENUE HOLDS BACK */

    /// @dev Deposits whose first margin had not come back were sent a second time, with other people's money.
    function test_commit__carried_on_while_cash_is_short__leaves_others_their_money() public {
        uint256 shares = token.balanceOf(minter) / 2;
        requestRedeem(minter, shares, false);
        fill(keeper);
        uint256 owed = queue.maxWithdraw(minter);
        requestDeposit(redeemer, 200 * unit, false);
        commit(keeper);
        venue.fail("", "busy");
        wait_(venue.cancellableFrom());
        settle(keeper, new bytes[](0));
        uint256 id = requestDeposit(outsider, 100 * unit, false);
        wait_(2 minutes);

        vm.expectPartialRevert(ILeveragedVault.NothingDue.selector);
        commit(keeper);

        vm.assertEq(cancelDeposit(outsider, id), 100 * unit, "I-1: what never left is there");
        vm.assertGe(asset.balanceOf(address(queue)), owed, "I-1: and so are payouts");
    }

    /// @dev Taking back what was not filled let go of a payout that was not there yet.
    function test_cancelRedeemRequest__filled_in_part_and_not_paid__keeps_the_payout_back() public {
        uint256 id = requestRedeem(minter, 900e18, false);
        commit(keeper);
        // All of it is needed from the venue.
        venue.fail("", "busy");
        venue.setFillRatio(0.5e18);
        move(3_000e18);
        wait_(venue.fillableFrom());
        settle(keeper);
        requestDeposit(redeemer, 2_000 * unit, false);
        vm.assertGt(vault.cashShort(), 0, "the venue holds it back");
        vm.assertEq(queue.maxWithdraw(minter), 0, "nothing to claim yet");

        cancelRedeem(minter, id);

        vm.assertEq(queue.maxWithdraw(minter), 0, "I-1: nor now");
    }

    /// @dev The fee on a payout was paid before the payout, with what somebody else had just brought.
    function test_collectFees__payout_not_there_yet__leaves_others_their_money() public {
        changeFees(0, 0.01e18, 0);
        requestRedeem(minter, 900e18, false);
        commit(keeper);
        venue.fail("", "busy");
        wait_(venue.fillableFrom());
        settle(keeper);
        uint256 id = requestDeposit(redeemer, 100 * unit, false);
        vm.assertGt(vault.cashShort(), 0, "the venue holds it back");

        vm.expectPartialRevert(IQueuedVault.CashInTransit.selector);
        vault.collectFees();

        vm.assertEq(cancelDeposit(redeemer, id), 100 * unit, "I-1: what never left is there");
    }

    /// @dev All or nothing was asked of the venue, so nothing came, and nobody could leave any more.
    function test_collectCash__venue_has_less_than_is_short__takes_what_there_is() public {
        requestRedeem(minter, 900e18, false);
        requestDeposit(redeemer, 100 * unit, false);
        commit(keeper);
        wait_(venue.fillableFrom());
        venue.execute(START_PRICE);
        // Of 800 that leavers are owed from there.
        venue.liquidate(50e18);
        settle(keeper);
        vault.checkRuin();

        vault.collectCash();
        requestRedeem(minter, token.balanceOf(minter), false);
        commit(keeper);

        (, uint256 paid) = claim(minter);
        vm.assertApproxEqAbs(paid, 150 * unit, 2 * unit, "I-6: what there is goes to those who are owed it");
        vm.assertEq(token.balanceOf(address(queue)), queue.maxMint(redeemer), "I-6: and the rest is let go");
    }

    /// @dev Payouts that lay here in full went to others, when the venue took what was owed to those.
    function test_collectCash__nothing_will_ever_come__leaves_paid_payouts_alone() public {
        requestRedeem(minter, 500e18, false);
        fill(keeper);
        uint256 owed = queue.maxWithdraw(minter);
        requestDeposit(redeemer, 200 * unit, false);
        commit(keeper);
        venue.fail("", "busy");
        wait_(venue.cancellableFrom());
        settle(keeper, new bytes[](0));
        (uint256 flying,) = queue.inFlight();
        vm.assertEq(flying, 200 * unit, "the deposit's margin has not come back");

        venue.liquidate(0);
        venue.fail("", "");
        vault.checkRuin();
        vault.collectCash();

        (, uint256 paid) = claim(minter);
        vm.assertEq(paid, owed, "I-1: paid for at its own fill");
    }

    /// @dev Shares on their way back were taken for assets that would never come.
    function test_collectCash__nothing_will_ever_come__returns_all_shares() public {
        requestRedeem(minter, 500e18, false);
        requestDeposit(redeemer, 800 * unit, false);
        commit(keeper);
        wait_(1 hours + 1);
        venue.fail("", "busy");
        settle(keeper, new bytes[](0));

        venue.liquidate(0);
        venue.fail("", "");
        vault.checkRuin();
        vault.collectCash();

        vm.assertEq(cancelRedeem(minter, 1), 500e18, "I-6: as shares");
    }

    /// @dev Refunds that the venue took with the position were still promised in full, and whoever came last went without.
    function test_collectCash__refunds_will_never_come__are_paid_in_proportion() public {
        requestDeposit(redeemer, 200 * unit, true);
        requestDeposit(outsider, 200 * unit, true);
        commit(keeper);
        venue.fail("", "busy");
        wait_(venue.cancellableFrom());
        settle(keeper, new bytes[](0));

        venue.liquidate(200e18);
        venue.fail("", "");
        vault.checkRuin();
        vault.collectCash();

        uint256 first = cancelDeposit(redeemer, 2);
        vm.assertEq(cancelDeposit(outsider, 2), first, "I-6: both the same");
        vm.assertApproxEqAbs(first, 100 * unit, 1, "I-6: what is left");
    }

    /// @dev A refund that fetched cash met the queue's own guard, once there was something to write off.
    function test_cancelDepositRequest__payouts_will_never_come__returns_what_is_here() public {
        uint256 id = requestDeposit(redeemer, 100 * unit, true);
        miss(keeper);
        wait_(2 minutes);
        requestRedeem(minter, 900e18, false);
        commit(keeper);
        venue.fail("", "busy");
        wait_(venue.fillableFrom());
        settle(keeper);
        vm.assertGt(vault.cashShort(), 0, "the venue holds it back");
        venue.liquidate(0);
        venue.fail("", "");

        vm.assertEq(cancelDeposit(redeemer, id), 100 * unit, "I-6: at once");
    }

    /// @dev The reserve for a move until the fill asked for more than there was, and the venue let nothing go: with next to
    /// nothing left to trade, no further order could ask again.
    function test_settle__nearly_all_leave_and_margin_moves_with_orders__is_paid() public {
        venue.setMarginMovesWithOrders(true);
        requestRedeem(minter, token.balanceOf(minter) - 0.1e18, false);
        fill(keeper);
        wait_(2 minutes);
        try vault.commit() {
            wait_(venue.fillableFrom());
            settle(keeper);
        } catch {}

        vault.collectCash();

        (, uint256 paid) = claim(minter);
        vm.assertGt(paid, 990 * unit, "I-6: without anybody's help");
    }

    /* FILLS */

    /// @dev Shares for holders with nothing left were more than a batch could count, and the order could never end.
    function test_settle__holders_have_nothing_left__ends() public {
        enter(minter, 99_000 * unit);
        requestDeposit(redeemer, 100_000 * unit, false);
        commit(keeper);
        wait_(venue.fillableFrom());
        move(1_330e18);
        venue.execute(1_330e18);

        settle(keeper);

        vm.assertGt(queue.maxMint(redeemer), 0, "I-6: shares");
    }

    /// @dev A wei of shares, left waiting for days, made whoever joined it pay all of the largest tip.
    function test_commit__dust_has_waited_for_long__costs_who_joins_a_hundredth() public {
        enter(minter, 99_000 * unit);
        vm.startPrank(minter);
        token.transfer(redeemer, 50e18);
        token.transfer(attacker, 1);
        vm.stopPrank();
        requestRedeem(attacker, 1, false);
        wait_(2 hours);

        requestRedeem(redeemer, 50e18, false);
        commit(attacker);
        wait_(venue.fillableFrom());
        settle(attacker);

        (, uint256 paid) = claim(redeemer);
        // The commit's tip, and that of the seconds until the settlement.
        vm.assertGe(paid, 49_49 * unit / 100, "I-5: a hundredth at the most");
    }
}

/// @dev Exits that meet a rebalance, at 10 bp of venue fee.
contract QueueFoundSharedTest is QueueRig {
    constructor() QueueRig(3e18, usd(6)) {
        changeFees(0, 0, 0);
        enter(minter, 100_000 * unit);
        enter(redeemer, 100 * unit);
        venue.setFeeRate(0.001e18);
    }

    /// @dev Those who stayed paid for the rebalance of the whole fund, most of which left with its leavers.
    function test_settle__nearly_all_leave_with_a_rebalance__costs_who_stay_their_own_part() public {
        vm.warp(MIDNIGHT + 10 days + 1 hours);
        move(1_900e18);
        vault.accrue();
        uint256 before = vault.nav();
        requestRedeem(minter, token.balanceOf(minter), false);

        (ILeveragedVault.Trigger trigger,) = commit(outsider);
        wait_(venue.fillableFrom());
        settle(outsider);

        vm.assertTrue(trigger == ILeveragedVault.Trigger.SCHEDULED, "with a rebalance");
        // 3.35x back to 3x costs 10 bp of 0.35 of equity; both tips are a basis point at the most.
        vm.assertLe(before - vault.nav(), before * 7 / 10_000, "E-2: their own part of it");
    }
}

contract QueueFoundFineTest is QueueRig {
    constructor() QueueRig(3e18, usd(18)) {
        changeFees(0, 0, 0);
        enter(minter, 1_000 * unit);
    }

    /// @dev Where entrants and a rebalance cross to nothing, everybody was booked at the index of the moment: an entrant who saw the
    /// next one bought at the last.
    function test_commit__deposit_crosses_a_rebalance__is_priced_by_a_fill() public {
        vm.warp(MIDNIGHT + 10 days + 1 hours);
        move(1_950e18);
        ILeveragedVault.Snapshot memory s = snapshot();
        int256 wanted = LeverageMath.sizeToLeverage(target, s.equity, s.size, s.price);
        int256 held = s.size + wanted;
        uint256 net = uint256(-wanted * s.equity / held) + 1;
        vm.assertEq(LeverageMath.joining(held, net, s.equity), -wanted, "to the wei");

        requestDeposit(attacker, net, false);
        commit(attacker);

        vm.assertEq(queue.maxDeposit(attacker), 0, "E-3: not before a price that nobody knew");
    }
}

contract QueueFoundEmptyTest is QueueRig {
    constructor() QueueRig(3e18, usd(6)) {
        changeFees(0, 0, 0);
    }

    /// @dev The first order filled so little that it cost more than it brought: all that lay in the vault was paid to
    /// leavers who do not exist.
    function test_settle__first_fill_mints_no_share__leaves_what_is_there() public {
        donate(outsider, 10 * unit);
        venue.setKeeperDeposit(1e18);
        venue.setFillRatio(0.001e18);
        uint256 id = requestDeposit(minter, 100 * unit, false);
        commit(keeper);
        wait_(venue.fillableFrom());
        venue.execute(START_PRICE);
        settle(keeper, new bytes[](0));
        cancelDeposit(minter, id);

        int256 all = int256(asset.balanceOf(address(queue)) * scale)
            + LeverageMath.equity(venue.position().cash, venue.position().size, START_PRICE);
        vm.assertEq(vault.equity(), all, "I-1: what is owed to nobody is the vault's");
    }

    /// @dev Without a price a commit of an empty vault divided by zero.
    function test_commit__empty_and_without_a_price__tells_why_not() public {
        feed.set(0);
        requestDeposit(minter, 100 * unit, false);

        vm.expectPartialRevert(ILeveragedVault.NothingDue.selector);
        commit(keeper);
    }
}

/// @dev A venue that takes 2 of every order for whoever executes it.
contract QueueFoundSmallTest is QueueRig {
    constructor() QueueRig(3e18, usd(6)) {
        changeFees(0, 0, 0);
        enter(minter, 1_000 * unit);
        vm.prank(minter);
        token.transfer(attacker, 10e18);
        venue.setKeeperDeposit(2e18);
    }

    /// @dev Who leaves with less than the execution's reward costs the others the rest, and whoever settles gets it.
    function test_settle__exit_worth_less_than_its_reward__costs_nobody_else() public {
        IVaultTerms.Policy memory policy = terms.policy();
        policy.minNotional = 0;
        govern(abi.encodeCall(IVaultTerms.setPolicy, (policy)));
        uint256 before = vault.nav();
        requestRedeem(attacker, 0.001e18, false);

        // Such an order had better not go at all.
        vm.prank(attacker);
        (bool isSent,) = address(vault).call(abi.encodeCall(vault.commit, ()));
        if (!isSent) return;
        wait_(venue.fillableFrom());
        settle(attacker);

        vm.assertGe(vault.nav() + 1e12, before, "I-2: who leaves pays for it");
    }

    function test_settle__small_part_filled__costs_nobody_else() public {
        uint256 before = vault.nav();
        requestRedeem(attacker, 10e18, false);
        commit(attacker);
        venue.setFillRatio(0.01e18);
        wait_(venue.fillableFrom());

        settle(attacker);

        vm.assertGe(vault.nav() + 1e12, before, "I-2: who leaves pays for it");
    }

    /// @dev What the order's parties could bear was less than its sender's tip alone, and nobody else could settle it.
    function test_settle__part_filled_is_worth_less_than_the_tip__ends() public {
        requestRedeem(attacker, 10e18, false);
        wait_(1 hours);
        commit(attacker);
        venue.setFillRatio(0.01e18);
        wait_(venue.fillableFrom());

        int256 size = settle(outsider);

        vm.assertTrue(size != 0, "I-6: by anyone");
        vm.assertGt(token.balanceOf(attacker), 0, "E-3: the sender's tip, as far as it can be borne");
    }
}
