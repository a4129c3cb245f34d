// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ILeveragedVault} from "interfaces/ILeveragedVault.sol";
import {IPerpAdapter} from "interfaces/IPerpAdapter.sol";
import {IPriceOracle} from "interfaces/IPriceOracle.sol";
import {LeverageMath, VIRTUAL, WAD} from "contracts/libraries/LeverageMath.sol";
import {MockERC20} from "contracts/mocks/MockERC20.sol";
import {Rig, usd} from "./Rig.sol";
import {bound, vm} from "./Vm.sol";

/// @title E-2 on the vault and the mock venue: whoever moves the fund pays for the move.
abstract contract Neutrality is Rig {
    struct Before {
        ILeveragedVault.Snapshot was;
        int256 exact;
        int256 cash;
    }

    constructor(int256 target_, MockERC20 asset_) Rig(target_, asset_) {
        deposit(minter, 1_000 * unit + 7);
        deposit(redeemer, 333 * unit + 1);
    }

    /* ENTER */

    function test_deposit__as_large_as_the_fund__moves_nobody(uint256 price, uint256 fee, uint256 worse) public {
        _market(price, fee, int256(bound(worse, 0, 0.01e18)));
        Before memory b = _before();
        uint256 assets = uint256(b.was.equity) / scale;
        uint256 margin = assets - LeverageMath.feeUp(assets, terms.fees().mint);

        uint256 shares = deposit(attacker, assets);

        ILeveragedVault.Snapshot memory a = snapshot();
        int256 cost = int256(margin * scale) - (a.equity - b.was.equity);
        vm.assertGe(cost, 0, "the entrant's trade cost something, or nothing");
        // Equity rounds by itself before and after: a wei of the cost.
        vm.assertApproxEqAbs(
            shares,
            (margin * scale - uint256(cost)) * (b.was.supply + VIRTUAL) / (uint256(b.was.equity) + VIRTUAL),
            b.was.supply / uint256(b.was.equity) + 1,
            "S0 (A - cost) / E0"
        );
        vm.assertGe(a.nav, b.was.nav, "I-2: nobody else's nav falls");
        vm.assertLe(a.nav, b.was.nav + 10, "nor rises by more than rounding");
        vm.assertApproxEqAbs(
            a.leverage, b.was.leverage, 20 * _hair(), "the fund's own leverage, sized on what was added"
        );
        _expectLinesUnchanged();
    }

    function test_deposit__better_fill__belongs_to_the_whole_fund(uint256 price, uint256 better, uint256 assets)
        public
    {
        _market(price, 0, -int256(bound(better, 0.0001e18, 0.01e18)));
        Before memory b = _before();
        assets = bound(assets, unit, 5_000 * unit);
        uint256 margin = assets - LeverageMath.feeUp(assets, terms.fees().mint);

        uint256 shares = deposit(attacker, assets);

        ILeveragedVault.Snapshot memory a = snapshot();
        vm.assertEq(shares, LeverageMath.toSharesDown(margin * scale, b.was.equity, b.was.supply), "not the entrant's");
        vm.assertGt(uint256(a.equity - b.was.equity), margin * scale, "but somebody's");
        vm.assertEq(a.nav, LeverageMath.nav(a.equity, a.supply), "the fund's");
        vm.assertGt(a.nav, b.was.nav, "every share's");
        vm.assertLe(_gearing(a), _gearing(b) + 2, "I-4");
    }

    function test_mint__any_amount__moves_nobody(uint256 price, uint256 fee, int256 worse, uint256 shares) public {
        _market(price, fee, bound(worse, -0.01e18, 0.01e18));
        Before memory b = _before();
        shares = bound(shares, 1e15, 3_000e18);

        uint256 assets = mint(attacker, shares);

        ILeveragedVault.Snapshot memory a = snapshot();
        vm.assertEq(token.balanceOf(attacker), shares, "as many as asked");
        vm.assertEq(asset.balanceOf(attacker), 0, "for what the preview said");
        vm.assertGt(assets, 0, "and not for nothing");
        vm.assertGe(a.nav, b.was.nav, "I-2");
        vm.assertLe(_gearing(a), _gearing(b) + 2, "I-4");
    }

    /* LEAVE */

    function test_redeem__half__moves_nobody(uint256 price, uint256 fee, uint256 worse) public {
        _redeem(5_000, price, fee, worse);
    }

    function test_redeem__nine_tenths__moves_nobody(uint256 price, uint256 fee, uint256 worse) public {
        _redeem(9_000, price, fee, worse);
    }

    function test_redeem__all__leaves_nothing(uint256 price, uint256 fee, uint256 worse) public {
        _market(price, fee, int256(bound(worse, 0, 0.01e18)));

        redeem(minter, token.balanceOf(minter));
        redeem(redeemer, token.balanceOf(redeemer));

        IPerpAdapter.Position memory p = adapter.position();
        vm.assertEq(token.totalSupply(), 0, "no share");
        vm.assertEq(p.size, 0, "no position");
        vm.assertGe(p.cash, 0, "no debt");
        vm.assertLe(uint256(p.cash), 2 * scale, "and no more than a unit's fraction of each who left");
        vm.assertEq(vault.nav(), WAD, "a new beginning");
    }

    /// @dev I-11: the index price cancels, so it does not matter which, nor whether there is one.
    function test_redeem__whatever_the_oracle_says__pays_the_same(uint256 seed, uint256 bp, uint256 worse) public {
        _market(START_PRICE, 0.0005e18, int256(bound(worse, 0, 0.01e18)));
        uint256 shares = token.balanceOf(redeemer) * bound(bp, 100, 10_000) / 10_000;
        uint256 id = vm.snapshotState();
        uint256 expected = redeem(redeemer, shares);
        vm.revertToState(id);

        if (seed % 4 == 0) feed.set(-1);
        else if (seed % 4 == 1) feed.set(0);
        else if (seed % 4 == 2) feed.setRound(2000e8, block.timestamp - 1 days, block.timestamp - 1 days);
        else feed.set(int256(bound(seed, 1, 1e18)));

        vm.assertEq(redeem(redeemer, shares), expected, "the same");
    }

    /* SPLITTING */

    /// @dev I-9. Sizes are cut to a wei of the base per piece; a wei of the base, unbought, costs that much less.
    function test_deposit__in_two_parts__buys_no_more(uint256 price, uint256 fee, uint256 assets, uint256 part) public {
        _market(price, fee, 0.002e18);
        assets = bound(assets, 10 * unit, 3_000 * unit);
        part = bound(part, unit, assets - unit);
        uint256 id = vm.snapshotState();
        uint256 whole = deposit(attacker, assets);
        vm.revertToState(id);

        uint256 pieces = deposit(attacker, part) + deposit(attacker, assets - part);

        vm.assertLe(pieces, whole + START_PRICE / WAD, "I-9");
    }

    function test_redeem__in_two_parts__pays_no_more(uint256 price, uint256 fee, uint256 part) public {
        _market(price, fee, 0.002e18);
        uint256 shares = token.balanceOf(redeemer);
        part = bound(part, shares / 1000, shares - shares / 1000);
        uint256 id = vm.snapshotState();
        uint256 whole = redeem(redeemer, shares);
        vm.revertToState(id);

        uint256 pieces = redeem(redeemer, part) + redeem(redeemer, shares - part);

        // With 18 decimals a wei that the first part left to the fund is partly the second's own.
        vm.assertLe(pieces, whole + START_PRICE / WAD / scale, "I-9");
    }

    function test_withdraw__then_the_rest__pays_no_more(uint256 price, int256 worse, uint256 part) public {
        _market(price, 0.0005e18, bound(worse, -0.01e18, 0.01e18));
        uint256 most = vault.maxWithdraw(redeemer);
        part = bound(part, most / 1000, most - most / 1000);

        withdraw(redeemer, part);
        uint256 rest = vault.maxWithdraw(redeemer);

        vm.assertLe(part + rest, most + START_PRICE / WAD / scale, "I-9");
        vm.assertGe(part + rest + 4 * unit / 1e6 + 4, most, "and costs no more shares than needed");
    }

    /// @dev ERC-4626: what the vault says is the most can be withdrawn, with the shares there are.
    function test_withdraw__the_most__is_had(uint256 price, int256 worse, uint256 bp, bool isFree) public {
        if (isFree) changeFees(0, 0, 0);
        _market(price, 0.0005e18, bound(worse, -0.01e18, 0.01e18));
        uint256 part = token.balanceOf(redeemer) * bound(bp, 1, 10_000) / 10_000;
        vm.prank(redeemer);
        token.transfer(outsider, part);
        uint256 most = vault.maxWithdraw(outsider);

        withdraw(outsider, most);

        vm.assertEq(asset.balanceOf(outsider), most, "had");
    }

    /* THERE AND BACK */

    /// @dev I-5, with everybody's fees at nothing: what is lost is rounding, what is won is nothing.
    function test_deposit__and_back_for_free__wins_nothing(uint256 price, uint256 assets) public {
        changeFees(0, 0, 0);
        _market(price, 0, 0);
        assets = bound(assets, unit / 1000, 100_000 * unit);
        uint256 discount = _discount();

        uint256 back = redeem(attacker, deposit(attacker, assets));

        vm.assertLe(back, assets + discount / scale, "no profit beyond the virtual share's");
        vm.assertGe(back + 2 + (START_PRICE / WAD * 20 + discount) / scale, assets, "and no loss");
    }

    function test_deposit__and_back__costs_the_fees_and_both_fills(uint256 fee, uint256 worse) public {
        _market(START_PRICE, fee, int256(bound(worse, 0, 0.01e18)));
        uint256 assets = 500 * unit;
        Before memory b = _before();

        uint256 back = redeem(attacker, deposit(attacker, assets));

        // In, the exposure shrinks by its own cost; out, it is sold for that much less again.
        uint256 costs = uint256(_gearing(b)) * (adapter.feeRate() + uint256(adapter.slippage())) / WAD;
        uint256 expected = assets * (WAD - 0.001e18) / WAD * (WAD - 0.001e18) / WAD * (WAD - costs) / (WAD + costs);
        vm.assertApproxEqAbs(back, expected, assets / 1e4, "10 bp each way, and the venue's cost of both trades");
        vm.assertGe(vault.nav(), b.was.nav, "I-2: and nobody else paid any of it");
    }

    function _redeem(uint256 bp, uint256 price, uint256 fee, uint256 worse) private {
        _market(price, fee, int256(bound(worse, 0, 0.01e18)));
        uint256 all = token.balanceOf(redeemer);
        vm.prank(redeemer);
        token.transfer(minter, all);
        Before memory b = _before();
        uint256 shares = b.was.supply * bp / 10_000;
        int256 closed = LeverageMath.portionDown(b.was.size, shares, b.was.supply);
        int256 cash = LeverageMath.portionDown(b.cash, shares, b.was.supply) + adapter.quote(-closed).cash;
        uint256 gross = uint256(cash) / scale;

        uint256 paid = redeem(minter, shares);

        ILeveragedVault.Snapshot memory a = snapshot();
        vm.assertEq(paid, gross - LeverageMath.feeUp(gross, terms.fees().burn), "f of the cash and the actual fill");
        vm.assertEq(asset.balanceOf(minter), paid, "in full");
        vm.assertEq(a.size, b.was.size - closed, "f of the position");
        vm.assertGe(
            exactEquity() * int256(b.was.supply), b.exact * int256(a.supply), "I-2: equity per share never falls"
        );
        vm.assertApproxEqAbs(a.nav, b.was.nav, 2 + _pull(b) + _hair(), "I-2: nor rises but by rounding");
        vm.assertApproxEqAbs(a.leverage, b.was.leverage, 20 * _hair(), "3x stays 3x, whoever leaves");
        _expectLinesUnchanged();
    }

    /// @dev A moved market inside the band, with a booking after it, and a venue that costs this much.
    function _market(uint256 price, uint256 fee, int256 worse) private {
        move(bound(price, 1_800e18, 2_150e18));
        adapter.setFeeRate(bound(fee, 0, 0.002e18));
        adapter.setSlippage(worse);
        vault.accrue();
    }

    function _before() private view returns (Before memory) {
        return Before(snapshot(), exactEquity(), adapter.position().cash);
    }

    function _gearing(Before memory b) private view returns (int256) {
        return _gearing(b.was);
    }

    function _gearing(ILeveragedVault.Snapshot memory s) private view returns (int256) {
        return target > 0 ? s.leverage : -s.leverage;
    }

    /// @dev What rounding may move, per share: the smallest unit of collateral and a wei of the base, WAD.
    function _hair() private view returns (uint256) {
        return (scale + price() / WAD + 1) * WAD / token.totalSupply() + 1;
    }

    /// @dev What the virtual share pulls nav towards one when the supply shrinks, WAD.
    function _pull(Before memory b) private view returns (uint256) {
        uint256 away = b.was.nav > WAD ? b.was.nav - WAD : WAD - b.was.nav;
        return away * VIRTUAL / (token.totalSupply() + VIRTUAL);
    }

    /// @dev What an entrant can gain on the virtual share, WAD: a millionth of (nav - 1), whatever the size.
    function _discount() private view returns (uint256) {
        uint256 nav = vault.nav();
        return nav > WAD ? VIRTUAL * (nav - WAD) / WAD + 1 : VIRTUAL * (WAD - nav) / WAD + 1;
    }

    /// @dev Users' own costs and gains are nobody's attribution.
    function _expectLinesUnchanged() private view {
        (ILeveragedVault.Attribution memory lines, uint256 nav) = vault.attribution();
        vm.assertEq(int256(lines.venueFee), 0, "no venue fee for the fund");
        vm.assertEq(int256(lines.slippage), 0, "no slippage for the fund");
        vm.assertEq(
            int256(lines.price) + lines.funding + lines.managementFee + lines.rounding, int256(nav) - 1e18, "I-10"
        );
    }
}

contract NeutralityLong3Test is Neutrality(3e18, usd(6)) {}

contract NeutralityShort3Test is Neutrality(-3e18, usd(18)) {}
