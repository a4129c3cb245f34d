// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {ILeveragedToken} from "interfaces/ILeveragedToken.sol";
import {ILeveragedVault} from "interfaces/ILeveragedVault.sol";
import {IPerpAdapter} from "interfaces/IPerpAdapter.sol";
import {IVaultTerms} from "interfaces/IVaultTerms.sol";
import {InstantVault} from "contracts/InstantVault.sol";
import {LeverageMath, VIRTUAL, WAD} from "contracts/libraries/LeverageMath.sol";
import {MockAdapter} from "contracts/mocks/MockAdapter.sol";
import {MockERC20} from "contracts/mocks/MockERC20.sol";
import {Rig} from "./Rig.sol";
import {abs, vm} from "./Vm.sol";

/// @title What the handler measures before and after each step, and the rules it holds the difference to.
/// @dev Values are taken from the venue account at the last index price, so that they can be had without an oracle.
abstract contract Watched {
    struct Books {
        int256 size;
        int256 equity;
        /// @dev Without any division, times 1e36.
        int256 exact;
        /// @dev With the management fee up to now.
        uint256 supply;
        uint256 nav;
        /// @dev At the price of the last booking, where exits are booked.
        uint256 navAtMark;
        int256 leverage;
        uint256 treasury;
    }

    Rig internal _rig;
    InstantVault internal _vault;
    ILeveragedToken internal _token;
    IVaultTerms internal _terms;
    MockERC20 internal _asset;
    MockAdapter internal _adapter;
    address[] internal _actors;
    /// @dev The index price, also while the feed does not tell it.
    uint256 internal _price;
    /// @dev The fee's integral at the last booking, as the vault's terms had it, and our own count up to now.
    uint256 internal _booked;
    uint256 internal _bookedByUs;
    uint256 internal _integral;
    /// @dev The rounding line when last read, and how much it may have changed since, WAD.
    int256 internal _rounding;
    uint256 internal _slack;

    function rig() external view returns (Rig) {
        return _rig;
    }

    function _watch(Rig rig_) internal {
        _rig = rig_;
        _vault = rig_.vault();
        _token = rig_.token();
        _terms = rig_.terms();
        _asset = rig_.asset();
        _adapter = rig_.adapter();
        _actors = [rig_.minter(), rig_.redeemer(), rig_.keeper(), rig_.outsider(), rig_.attacker()];
        _price = rig_.START_PRICE();
        for (uint256 i = 0; i < _actors.length; ++i) {
            rig_.give(_actors[i], 0);
        }
    }

    function _books() internal view returns (Books memory b) {
        IPerpAdapter.Position memory p = _adapter.position();
        (,, uint256 integral,) = _terms.rates();
        b.size = p.size;
        b.equity = LeverageMath.equity(p.cash, p.size, _price);
        b.exact = p.cash * int256(WAD) + p.size * int256(_price);
        b.supply = _token.totalSupply();
        b.supply += LeverageMath.managementShares(b.supply, integral - _booked);
        b.nav = LeverageMath.nav(b.equity, b.supply);
        b.navAtMark = LeverageMath.nav(LeverageMath.equity(p.cash, p.size, _vault.mark().price), b.supply);
        b.leverage = LeverageMath.leverage(p.size, _price, b.equity);
        b.treasury = _token.balanceOf(_rig.treasury());
    }

    /* THE RULES */

    /// @dev I-2 and I-4 of an entry. `given` is what the entrant may have given to round up, WAD.
    function _checkEntry(Books memory a, Books memory b, uint256 given, bool isBetter) internal {
        uint256 shares = b.supply + VIRTUAL;
        given += a.nav / WAD + 2;
        _allowRounding(given * WAD / shares + 2);
        vm.assertTrue(_isNoMore(b.leverage, a.supply == 0 ? _rig.target() : a.leverage, b.equity), "I-4: entry");
        if (a.supply == 0) return;
        vm.assertGe(b.nav, a.nav, "I-2: an entry never lowers nav");
        if (!isBetter) vm.assertLe(b.nav - a.nav, given * WAD / shares + 1, "I-2: nor raises it but by rounding");
    }

    /// @dev I-2 and I-4 of an exit.
    function _checkExit(Books memory a, Books memory b, uint256 given) internal {
        uint256 away = Math.max(_fromOne(a.nav), _fromOne(a.navAtMark));
        given += _rig.scale() + _wei();
        // The virtual share pulls nav towards one when few others are left.
        uint256 pull = VIRTUAL * away / (b.supply + VIRTUAL);
        _allowRounding(given * WAD / (b.supply + VIRTUAL) + pull + 3);
        // Who leaves a ruined vault for nothing leaves the whole position to the others.
        if (_vault.isRuined() && a.size == b.size) _allowRounding(type(uint128).max);
        if (a.equity <= 0 || b.supply == 0) return;
        vm.assertGe(
            b.exact * int256(a.supply), a.exact * int256(b.supply), "I-2: an exit never lowers equity per share"
        );
        vm.assertGe(
            b.nav + pull + WAD / (b.supply + VIRTUAL) + 1, a.nav, "I-2: nor nav beyond the virtual share's pull"
        );
        vm.assertTrue(_isNoMore(b.leverage, a.leverage, b.equity), "I-4: exit");
    }

    /// @dev I-3, and E-5: an emergency only reduces. To a wei of the base and what a nonlinear cost leaves.
    function _checkRebalance(Books memory a, Books memory b, ILeveragedVault.Trigger trigger, bool isWhole)
        internal
        view
    {
        int256 target = _rig.target();
        uint256 hair = _hair(target, b.equity);
        int256 before = a.leverage - target;
        int256 left = b.leverage - target;
        IVaultTerms.Policy memory policy = _terms.policy();

        vm.assertTrue((left > 0) == (before > 0) || abs(left) <= hair, "I-3: never past the target");
        // At a cost above one part in |leverage| there is nothing to gain by trading; here the most is 4.2 %.
        if (abs(a.leverage) > 23e18) return;
        vm.assertTrue(abs(left) < abs(before) + hair, "I-3: towards it");
        if (_vault.snapshot().rebalancing.chunk == ILeveragedVault.Trigger.NONE) {
            vm.assertLe(abs(left), policy.tolerance, "I-3: settled is within tolerance");
        }
        if (isWhole) vm.assertLe(abs(left), hair, "I-3: on the target when all was filled");
        if (trigger == ILeveragedVault.Trigger.EMERGENCY) {
            vm.assertTrue(abs(b.size) < abs(a.size), "E-5: an emergency only reduces");
        }
    }

    /// @dev I-7: the fee since the last booking is the integral of the rate over it, by our own clock.
    function _checkFee(Books memory a, uint256 supplyBefore, bool isBooked) internal {
        (,, uint256 integral,) = _terms.rates();
        vm.assertApproxEqAbs(integral, _integral, 20, "I-7: the integral of the rate");
        if (!isBooked) return;
        uint256 fee = _token.balanceOf(_rig.treasury()) - a.treasury;
        uint256 expected = LeverageMath.managementShares(supplyBefore, _integral - _bookedByUs);
        vm.assertApproxEqAbs(fee, expected, 30 * supplyBefore / WAD + 1, "I-7: the fee for the time since the last one");
        (_booked, _bookedByUs) = (integral, _integral);
    }

    /// @dev I-10: the lines add up to the last wei, and what is called rounding is rounding.
    function _checkLedger() internal {
        (bool isPriced, ILeveragedVault.Attribution memory lines, uint256 nav) = _ledger();
        if (!isPriced) return;
        int256 sum = int256(lines.price) + lines.funding + lines.venueFee + lines.slippage + lines.managementFee
            + lines.rounding;
        vm.assertEq(sum, int256(nav) - int256(WAD), "I-10: the lines add up");
        if (_token.totalSupply() == 0) {
            (_rounding, _slack) = (0, 0);
            return;
        }
        // Two divisions of each of nav, price and cash, and of the equity behind them.
        _slack += 8 + 6 * WAD / (_token.totalSupply() + VIRTUAL);
        vm.assertLe(abs(lines.rounding - _rounding), _slack, "I-10: rounding is rounding");
        (_rounding, _slack) = (lines.rounding, 0);
    }

    function _ledger() internal view returns (bool, ILeveragedVault.Attribution memory lines, uint256 nav) {
        try _vault.attribution() returns (ILeveragedVault.Attribution memory lines_, uint256 nav_) {
            return (true, lines_, nav_);
        } catch {
            return (false, lines, nav);
        }
    }

    function _allowRounding(uint256 more) internal {
        _slack += more;
    }

    function _fromOne(uint256 nav) private pure returns (uint256) {
        return nav > WAD ? nav - WAD : WAD - nav;
    }

    /// @dev |leverage| is no more than before, but for a wei of the base.
    function _isNoMore(int256 leverage, int256 before, int256 equity) internal view returns (bool) {
        return abs(leverage) <= abs(before) + _hair(before, equity);
    }

    /// @dev What a wei of the base and two of collateral are to the leverage of `equity`, WAD.
    function _hair(int256 leverage, int256 equity) internal view returns (uint256) {
        if (equity <= 0) return type(uint128).max;
        return (abs(leverage) / WAD + 2) * (_wei() + 2) * WAD / uint256(equity) + 2;
    }

    /// @dev A wei of the base, in collateral, WAD, rounded up.
    function _wei() internal view returns (uint256) {
        return _price / WAD + 1;
    }
}
