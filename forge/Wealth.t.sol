// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ILeveragedToken} from "interfaces/ILeveragedToken.sol";
import {LeverageMath, VIRTUAL, WAD} from "contracts/libraries/LeverageMath.sol";
import {InstantVault} from "contracts/InstantVault.sol";
import {MockAdapter} from "contracts/mocks/MockAdapter.sol";
import {MockERC20} from "contracts/mocks/MockERC20.sol";
import {Rig, usd} from "./Rig.sol";
import {anyMagnitude, bound, vm} from "./Vm.sol";

/// @title Two attackers in league, with any money and any trick, at a price that does not move.
/// @dev The first step chooses the world. Two holders sit still in each of them.
contract Attackers {
    Rig[] private _worlds;
    Rig internal _rig;
    InstantVault internal _vault;
    ILeveragedToken internal _token;
    MockERC20 internal _asset;
    MockAdapter internal _adapter;
    address[2] internal _gang;
    /// @dev Assets they were given, and what the protocol promises them: tips, in assets, WAD.
    uint256 public given;
    uint256 public promised;
    /// @dev What rounding may have left them, WAD.
    uint256 public slack;
    /// @dev Equity per share of those who sit still, when they began and less what rebalances and fees took, WAD.
    uint256 public floor;

    constructor() {
        // target, decimals, market: above and below the first mint's, our fees on and off.
        _worlds.push(_world(3e18, 6, 2_100e18, false));
        _worlds.push(_world(-3e18, 18, 1_800e18, true));
        _worlds.push(_world(5e18, 18, 2_150e18, true));
        _worlds.push(_world(-1e18, 6, 2_300e18, true));
        _worlds.push(_world(1e18, 18, 500e18, false));
    }

    modifier step(uint256 seed) {
        if (address(_rig) == address(0)) _choose(_worlds[seed % _worlds.length]);
        _;
        // Each division leaves less than a wei of the base, once in leverage and once in size.
        slack += 20 * (_rig.price() / WAD + 1);
    }

    function deposit(uint256 seed, uint256 amount) external step(seed) {
        uint256 assets = _assets(amount);
        address actor = _paid(seed, assets);
        _allowVirtual();
        vm.prank(actor);
        try _vault.deposit(assets, actor) {} catch {}
    }

    function mint(uint256 seed, uint256 amount) external step(seed) {
        uint256 shares = anyMagnitude(amount, 25);
        try _vault.previewMint(shares) returns (uint256 assets) {
            address actor = _paid(seed, assets);
            _allowVirtual();
            vm.prank(actor);
            try _vault.mint(shares, actor) {} catch {}
        } catch {}
    }

    function redeem(uint256 seed, uint256 bp) external step(seed) {
        address actor = _gang[seed / 8 % 2];
        uint256 shares = _token.balanceOf(actor) * bound(bp, 1, 10_000) / 10_000;
        vm.prank(actor);
        try _vault.redeem(shares, actor, actor) {} catch {}
    }

    function withdraw(uint256 seed, uint256 bp) external step(seed) {
        address actor = _gang[seed / 8 % 2];
        uint256 assets = _vault.maxWithdraw(actor) * bound(bp, 1, 10_000) / 10_000;
        vm.prank(actor);
        try _vault.withdraw(assets, actor, actor) {} catch {}
    }

    /// @dev Many small pieces, in or out.
    function split(uint256 seed, uint256 amount, uint256 pieces) external step(seed) {
        pieces = bound(pieces, 2, 12);
        uint256 assets = _assets(amount);
        address actor = _paid(seed, assets);
        uint256 balance = _token.balanceOf(actor);
        for (uint256 i = 0; i < pieces; ++i) {
            slack += 20 * (_rig.price() / WAD + 1);
            if (seed / 16 % 2 == 0) {
                _allowVirtual();
                vm.prank(actor);
                try _vault.deposit(assets / pieces, actor) {} catch {}
            } else {
                vm.prank(actor);
                try _vault.redeem(balance / pieces, actor, actor) {} catch {}
            }
        }
    }

    function transfer(uint256 seed, uint256 bp) external step(seed) {
        address actor = _gang[seed / 8 % 2];
        uint256 shares = _token.balanceOf(actor) * bound(bp, 0, 10_000) / 10_000;
        vm.prank(actor);
        _token.transfer(_gang[1 - seed / 8 % 2], shares);
    }

    function donate(uint256 seed, uint256 amount, uint256 how) external step(seed) {
        uint256 assets = _assets(amount);
        address actor = _paid(seed, assets);
        if (how % 3 == 2) {
            vm.startPrank(actor);
            _asset.approve(address(_adapter), assets);
            _adapter.donate(assets);
            vm.stopPrank();
            return;
        }
        vm.prank(actor);
        _asset.transfer(how % 3 == 0 ? address(_vault) : address(_adapter), assets);
    }

    function rebalance(uint256 seed) external step(seed) {
        address actor = _gang[seed / 8 % 2];
        uint256 held = _token.balanceOf(actor);
        uint256 before = _perShare();
        vm.prank(actor);
        try _vault.rebalance() {
            promised += (_token.balanceOf(actor) - held) * _perShare() / WAD + 1;
            _lower(before);
        } catch {}
    }

    function pokeEverything(uint256 seed) external step(seed) {
        _vault.accrue();
        _vault.collectFees();
        vm.assertTrue(!_vault.checkRuin(), "not by talking");
    }

    /// @dev The venue gets dearer or cheaper for all, never better than the index.
    function changeVenue(uint256 seed, uint256 fee, uint256 worse) external step(seed) {
        _adapter.setFeeRate(fee % 2 == 0 ? 0 : bound(fee, 0, 0.002e18));
        _adapter.setSlippage(worse % 2 == 0 ? int256(0) : int256(bound(worse, 0, 0.01e18)));
    }

    function wait_(uint256 seed, uint256 duration) external step(seed) {
        uint256 before = _perShare();
        _rig.wait_(bound(duration, 1, 12 hours));
        _vault.accrue();
        _lower(before);
    }

    /* WHAT IT COMES TO */

    function isOn() external view returns (bool) {
        return address(_rig) != address(0);
    }

    /// @notice What the attackers have and could take out now, beyond what they were given, in assets.
    function profit() external returns (int256) {
        uint256 id = vm.snapshotState();
        uint256 all = _token.balanceOf(_gang[1]);
        vm.prank(_gang[1]);
        _token.transfer(_gang[0], all);
        all = _token.balanceOf(_gang[0]);
        vm.prank(_gang[0]);
        try _vault.redeem(all, _gang[0], _gang[0]) {} catch {}
        uint256 has = _asset.balanceOf(_gang[0]) + _asset.balanceOf(_gang[1]);
        vm.revertToState(id);
        return int256(has) - int256(given);
    }

    /// @notice What they may have at the most: tips, the virtual share's discount, and rounding, in assets.
    function allowance() external view returns (int256) {
        return int256((promised + slack) / _rig.scale());
    }

    /// @notice Equity per share now, and what those who sat still may count on, WAD.
    function holders() external view returns (uint256 now_, uint256 least) {
        uint256 still = _token.balanceOf(_rig.minter()) + _token.balanceOf(_rig.redeemer());
        uint256 lost = slack * WAD / still + 1;
        return (_perShare(), floor > lost ? floor - lost : 0);
    }

    function _world(int256 target, uint8 decimals, uint256 price, bool isFree) private returns (Rig r) {
        r = new Rig(target, usd(decimals));
        if (isFree) r.changeFees(0, 0, 0);
        r.deposit(r.minter(), 1_000 * r.unit());
        r.move(price);
        r.deposit(r.redeemer(), 30 * r.unit() + 3);
    }

    function _choose(Rig rig) private {
        _rig = rig;
        _vault = rig.vault();
        _token = rig.token();
        _asset = rig.asset();
        _adapter = rig.adapter();
        _gang = [rig.attacker(), rig.outsider()];
        rig.give(_gang[0], 0);
        rig.give(_gang[1], 0);
        _rig.wait_(0);
        _vault.accrue();
        floor = _perShare();
    }

    function _paid(uint256 seed, uint256 assets) private returns (address actor) {
        actor = _gang[seed / 8 % 2];
        _asset.mint(actor, assets);
        given += assets;
    }

    /// @dev An entrant's price is (E + V) / (S + V): at most V (nav - 1) less than E / S is worth, whatever the size.
    function _allowVirtual() private {
        uint256 nav = _vault.nav();
        if (nav > WAD) slack += VIRTUAL * (nav - WAD) / WAD + 1;
    }

    function _lower(uint256 before) private {
        uint256 now_ = _perShare();
        if (now_ < before) floor -= floor < before - now_ ? floor : before - now_;
    }

    /// @dev Exact equity per share, WAD, down.
    function _perShare() private view returns (uint256) {
        int256 equity = _rig.exactEquity();
        return equity > 0 ? uint256(equity) / _token.totalSupply() : 0;
    }

    function _assets(uint256 amount) private view returns (uint256) {
        return anyMagnitude(amount, 7 + _asset.decimals());
    }
}

/// @title I-5: at constant price no sequence of actions by any actors ends with more value than went in.
/// forge-config: default.invariant.fail-on-revert = true
/// forge-config: default.invariant.runs = 96
/// forge-config: deep.invariant.runs = 256
contract WealthTest {
    Attackers private _attackers;

    struct Selectors {
        address addr;
        bytes4[] selectors;
    }

    function setUp() public {
        _attackers = new Attackers();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_attackers);
    }

    function excludeSelectors() public view returns (Selectors[] memory excluded) {
        excluded = new Selectors[](1);
        excluded[0] = Selectors(address(_attackers), new bytes4[](1));
        excluded[0].selectors[0] = Attackers.profit.selector;
    }

    function invariant_i5__constant_price__nobody_gains_and_nobody_loses() public {
        if (!_attackers.isOn()) return;

        vm.assertLe(_attackers.profit(), _attackers.allowance(), "I-5: the attackers made money");
        (uint256 now_, uint256 least) = _attackers.holders();
        vm.assertGe(now_, least, "I-5: those who sat still lost some");
    }
}
