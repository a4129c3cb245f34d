// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ILeveragedVault} from "interfaces/ILeveragedVault.sol";
import {LeverageMath, VIRTUAL, WAD} from "contracts/libraries/LeverageMath.sol";
import {Rig, usd} from "./Rig.sol";
import {vm} from "./Vm.sol";

/// @title What the random search found, each in its smallest form.
contract FoundLongTest is Rig {
    constructor() Rig(3e18, usd(6)) {
        deposit(minter, 1_000 * unit);
    }

    /// @dev Booking a size of zero made the vault forget that it had been liquidated.
    function test_accrue__after_a_liquidation__is_ruin() public {
        adapter.liquidate(50e18);

        vm.expectEmit(true, true, true, true, address(vault));
        emit ILeveragedVault.Ruined({equity: 50e18, size: 0});
        vault.accrue();

        vm.assertTrue(vault.isRuined(), "ruined");
        give(outsider, 100 * unit);
        vm.expectRevert(abi.encodeWithSelector(ILeveragedVault.VaultRuined.selector));
        vm.prank(outsider);
        vault.deposit(100 * unit, outsider);
        vm.expectRevert(abi.encodeWithSelector(ILeveragedVault.VaultRuined.selector));
        vault.rebalance();
    }

    function test_redeem__after_a_liquidation__is_ruin_and_pays_what_is_left() public {
        adapter.liquidate(50e18);

        uint256 paid = redeem(minter, token.balanceOf(minter) / 2);

        vm.assertTrue(vault.isRuined(), "ruined");
        vm.assertEq(paid, 24_975_000, "half of 50, less 10 bp");
    }

    /// @dev The search began at the venue's price, and where fills are better took too many shares.
    function test_withdraw__fills_better_than_the_price__burns_what_is_needed() public {
        adapter.setSlippage(-0.01e18);
        uint256 paid = LeverageMath.grossUp(400 * unit, terms.fees().burn);

        uint256 shares = withdraw(minter, 400 * unit);

        // Three times the size, each of it a hundredth better.
        vm.assertApproxEqAbs(shares, paid * scale * 100 / 103, 10_000, "no more than needed");
        (ILeveragedVault.Attribution memory lines,) = vault.attribution();
        vm.assertLe(lines.rounding, 10_000, "I-10: and nothing of it called rounding");
    }

    /// @dev Gifts to an empty vault were booked as rounding.
    function test_deposit__after_a_gift_to_an_empty_vault__books_it_as_funding() public {
        redeem(minter, token.balanceOf(minter));
        donate(outsider, 500 * unit);

        deposit(redeemer, 1_000 * unit);

        (ILeveragedVault.Attribution memory lines, uint256 nav) = vault.attribution();
        vm.assertEq(lines.funding, int256(500e18 * WAD / (999e18 + VIRTUAL)), "the gift");
        vm.assertEq(int256(nav), 1e18 + int256(lines.funding) + lines.rounding, "I-10");
        vm.assertLe(lines.rounding, 2, "and rounding is rounding");
    }

    /// @dev Selling at 4 % below the index what is thirty times equity costs more than there is.
    function test_rebalance__would_cost_more_than_half_of_what_is_left__fills_nothing() public {
        move(1_380e18);
        adapter.setSlippage(0.04e18);

        vm.expectPartialRevert(ILeveragedVault.NothingFilled.selector);
        vm.prank(outsider);
        vault.rebalance();

        adapter.setSlippage(0.016e18);
        int256 before = exactEquity();
        rebalance(outsider);
        vm.assertGe(exactEquity() * 2, before, "half is left");
    }

    /// @dev The venue's fee alone may cost more than there is.
    function test_rebalance__costs_more_than_is_left__books_no_rounding() public {
        move(1_380e18);
        adapter.setFeeRate(0.04e18);

        rebalance(outsider);

        (ILeveragedVault.Attribution memory lines, uint256 nav) = vault.attribution();
        vm.assertEq(nav, 0, "nothing is left");
        vm.assertEq(
            int256(lines.price) + lines.venueFee + lines.slippage + lines.rounding, -1e18, "I-10: it all went there"
        );
        vm.assertLe(lines.rounding, 1, "and rounding nothing");
        vm.assertGe(lines.rounding, -1, "nor gave it");
    }
}

contract FoundShortTest is Rig {
    constructor() Rig(-3e18, usd(18)) {
        deposit(minter, 1_000 * unit + 123_456_789);
        deposit(redeemer, 777 * unit + 3);
    }

    /// @dev It tried to pay its cash, which belongs to what it owes, and reverted.
    function test_redeem__ruined_short__pays_nothing_and_lets_go() public {
        move(2_800e18);
        vault.checkRuin();

        uint256 paid = redeem(minter, token.balanceOf(minter));

        vm.assertEq(paid, 0, "nothing");
        vm.assertEq(token.balanceOf(minter), 0, "let go");
    }

    /// @dev A wei of the base too little was bought back, and the others owed it.
    function test_redeem__odd_shares_of_a_short__leaves_the_others_no_debt() public {
        move(2_100e18);
        vault.accrue();
        for (uint256 i = 0; i < 10; ++i) {
            (int256 equity, uint256 supply) = (exactEquity(), token.totalSupply());

            redeem(redeemer, 1e18 + i * 7_919);

            vm.assertGe(exactEquity() * int256(supply), equity * int256(token.totalSupply()), "I-2");
        }
    }
}

contract FoundUnleveredTest is Rig {
    constructor() Rig(1e18, usd(18)) {
        deposit(minter, 1_000 * unit);
        deposit(redeemer, 777 * unit + 3);
    }

    /// @dev With no cash in the account proceeds move in steps of a wei of the base, here 2,000 wei: the search stood still on
    /// one of them and called it too few.
    function test_withdraw__between_two_steps__is_found() public {
        for (uint256 i = 1; i < 20; ++i) {
            uint256 assets = 777 * unit / 100 + i * 97;

            withdraw(redeemer, assets);

            vm.assertEq(asset.balanceOf(redeemer), assets, "had");
            vm.prank(redeemer);
            asset.transfer(outsider, assets);
        }
    }
}
