// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {ILeveragedVault} from "interfaces/ILeveragedVault.sol";
import {IInstantAdapter} from "interfaces/IInstantAdapter.sol";
import {IPerpAdapter} from "interfaces/IPerpAdapter.sol";
import {IPriceOracle} from "interfaces/IPriceOracle.sol";
import {IVaultTerms} from "interfaces/IVaultTerms.sol";
import {Authority} from "contracts/Authority.sol";
import {LeverageMath, VIRTUAL, WAD} from "contracts/libraries/LeverageMath.sol";
import {MockAdapter} from "contracts/mocks/MockAdapter.sol";
import {Rig, usd} from "./Rig.sol";
import {Watched} from "./Watched.sol";
import {abs, anyMagnitude, bound, isBeyondHalf, vm} from "./Vm.sol";

/// @title Everything that can happen to a vault, by anybody, in any order; each step is held to the rules of Watched.
/// @dev The first step of a run chooses the world: a target and the collateral's decimals. Nothing here reverts, but
/// where a rule is broken or a call fails without a reason that fits the state.
contract Handler is Watched {
    uint256 private constant MAX_NOTIONAL = type(uint128).max;

    Rig[] private _worlds;
    /// @dev How far the venue's price is from the index, WAD fraction.
    int256 private _gap;
    bool private _isCapped;

    constructor() {
        _worlds.push(new Rig(3e18, usd(6)));
        _worlds.push(new Rig(-3e18, usd(18)));
        _worlds.push(new Rig(-1e18, usd(6)));
        _worlds.push(new Rig(5e18, usd(18)));
        _worlds.push(new Rig(1e18, usd(18)));
    }

    modifier step(uint256 seed) {
        if (address(_rig) == address(0)) _watch(_worlds[seed % _worlds.length]);
        _;
        _checkLedger();
    }

    /* HOLDERS */

    function deposit(uint256 seed, uint256 amount) external step(seed) {
        address actor = _actor(seed);
        uint256 assets = _assets(amount);
        _asset.mint(actor, assets);
        (bool isQuoted, uint256 quoted) = _try(abi.encodeCall(_vault.previewDeposit, (assets)));
        uint256 held = _asset.balanceOf(actor);
        (Books memory a, uint256 supply) = (_books(), _token.totalSupply());

        vm.prank(actor);
        try _vault.deposit(assets, actor) returns (uint256 shares) {
            _checkFee(a, supply, true);
            Books memory b = _books();
            vm.assertTrue(isQuoted && shares == quoted, "I-8: deposit");
            vm.assertEq(held - _asset.balanceOf(actor), assets, "paid what was said");
            vm.assertEq(b.supply - a.supply, shares, "got what was said");
            _checkDoor(a);
            _checkEntry(a, b, 0, _adapter.slippage() < 0 || _gap != 0);
        } catch (bytes memory reason) {
            _checkEntryFailure(a, assets, reason);
        }
    }

    function mint(uint256 seed, uint256 amount) external step(seed) {
        address actor = _actor(seed);
        uint256 shares = anyMagnitude(amount, 24);
        (bool isQuoted, uint256 quoted) = _try(abi.encodeCall(_vault.previewMint, (shares)));
        _asset.mint(actor, isQuoted ? quoted : 0);
        uint256 held = _asset.balanceOf(actor);
        (Books memory a, uint256 supply) = (_books(), _token.totalSupply());

        vm.prank(actor);
        try _vault.mint(shares, actor) returns (uint256 assets) {
            _checkFee(a, supply, true);
            Books memory b = _books();
            vm.assertTrue(isQuoted && assets == quoted, "I-8: mint");
            vm.assertEq(held - _asset.balanceOf(actor), assets, "paid what was said");
            vm.assertEq(b.supply - a.supply, shares, "got what was said");
            _checkDoor(a);
            _checkEntry(a, b, _rig.scale(), _adapter.slippage() < 0 || _gap != 0);
        } catch (bytes memory reason) {
            _checkEntryFailure(a, isQuoted ? quoted : 0, reason);
        }
    }

    function redeem(uint256 seed, uint256 bp) external step(seed) {
        address actor = _holder(seed);
        _redeem(actor, _token.balanceOf(actor) * bound(bp, 1, 10_000) / 10_000);
    }

    /// @dev All but a little.
    function redeemDust(uint256 seed, uint256 left) external step(seed) {
        address actor = _holder(seed);
        uint256 balance = _token.balanceOf(actor);
        _redeem(actor, balance - bound(left, 0, balance / 1e6));
    }

    function withdraw(uint256 seed, uint256 bp) external step(seed) {
        address actor = _holder(seed);
        uint256 assets = _vault.maxWithdraw(actor) * bound(bp, 1, 10_000) / 10_000;
        (bool isQuoted, uint256 quoted) = _try(abi.encodeCall(_vault.previewWithdraw, (assets)));
        uint256 held = _asset.balanceOf(actor);
        (Books memory a, uint256 supply) = (_books(), _token.totalSupply());

        vm.prank(actor);
        try _vault.withdraw(assets, actor, actor) returns (uint256 shares) {
            _checkFee(a, supply, true);
            Books memory b = _books();
            bool isAll = shares < quoted && _token.balanceOf(actor) == 0;
            vm.assertTrue(isQuoted && (shares == quoted || isAll), "I-8: withdraw");
            vm.assertEq(_asset.balanceOf(actor) - held, assets, "was paid what was said");
            vm.assertEq(a.supply - b.supply, shares, "burnt what was said");
            // Two steps more than needed, and two wei of shares.
            _checkExit(a, b, 2 * _wei() + 3 + 3 * a.nav / WAD);
        } catch (bytes memory reason) {
            _checkExitFailure(assets, reason);
        }
    }

    function transfer(uint256 seed, uint256 to, uint256 bp) external step(seed) {
        address from = _holder(seed);
        uint256 shares = _token.balanceOf(from) * bound(bp, 0, 10_000) / 10_000;

        vm.prank(from);
        _token.transfer(_actor(to), shares);
    }

    /// @dev I-11: the same redemption with a good price and with none pays the same.
    function redeemBlind(uint256 seed, uint256 bp, uint256 how) external step(seed) {
        address actor = _holder(seed);
        uint256 shares = _token.balanceOf(actor) * bound(bp, 1, 10_000) / 10_000;
        bytes memory call = abi.encodeWithSignature("redeem(uint256,address,address)", shares, actor, actor);
        uint256 id = vm.snapshotState();
        vm.prank(actor);
        (bool wasPaid, bytes memory expected) = address(_vault).call(call);
        vm.revertToState(id);

        id = vm.snapshotState();
        _spoil(how);
        vm.prank(actor);
        (bool isPaid, bytes memory got) = address(_vault).call(call);
        vm.revertToState(id);

        vm.assertTrue(wasPaid == isPaid, "I-11: an exit works without a price as with one");
        vm.assertEq(got, expected, "I-11: and pays the same");
    }

    /* KEEPERS AND PASSERS-BY */

    function rebalance(uint256 seed) external step(seed) {
        address actor = _actor(seed);
        (Books memory a, uint256 supply) = (_books(), _token.totalSupply());
        (bool isKnown, uint256 due) = _try(abi.encodeCall(ILeveragedVault.due, (actor)));
        uint256 held = _token.balanceOf(actor);

        vm.prank(actor);
        try _vault.rebalance() returns (ILeveragedVault.Trigger trigger, int256) {
            _checkFee(a, supply, true);
            Books memory b = _books();
            vm.assertTrue(isKnown && due == uint256(trigger), "due() said so");
            bool isWhole = _adapter.fillRatio() == WAD && _gap == 0 && _terms.policy().maxNotional == MAX_NOTIONAL;
            _checkRebalance(a, b, trigger, isWhole);
            bool isRaised = abs(b.size) > abs(a.size);
            vm.assertTrue(!isRaised || !_isPaused(), "I-12: a pause stops what raises leverage");
            vm.assertTrue(_rig.isPriceGood() && !_vault.isRuined(), "I-11, E-8: with a price, and not in ruin");
            uint256 tip = _token.balanceOf(actor) - held;
            vm.assertEq(b.supply - a.supply, tip, "nothing minted but the tip");
            vm.assertLe(tip * 10_000, a.supply + VIRTUAL, "E-5: a tip is at most a basis point");
            _allowRounding(3 + 3 * WAD / b.supply);
        } catch (bytes memory reason) {
            _checkRebalanceFailure(a, isKnown && due == 0, reason);
        }
    }

    function accrue(uint256 seed) external step(seed) {
        (Books memory a, uint256 supply) = (_books(), _token.totalSupply());
        try _vault.accrue() {
            _checkFee(a, supply, true);
            Books memory b = _books();
            vm.assertTrue(a.size == b.size && a.exact == b.exact && a.supply == b.supply, "I-14: changes no claim");
        } catch (bytes memory reason) {
            vm.assertTrue(_isPriceless(reason), _unexpected("accrue", reason));
        }
    }

    function collect(uint256 seed) external step(seed) {
        Books memory a = _books();
        uint256 owed = _vault.feesOwed();

        uint256 got = _vault.collectFees();

        vm.assertEq(got, owed, "all of it");
        vm.assertEq(_books().exact, a.exact, "I-14: changes no claim");
    }

    function checkRuin(uint256 seed) external step(seed) {
        Books memory a = _books();
        bool wasRuined = _vault.isRuined();
        (bool isKnown, uint256 isRuined) = _try(abi.encodeCall(ILeveragedVault.checkRuin, ()));
        if (!isKnown) return vm.assertTrue(!_rig.isPriceGood(), "E-8: fails for want of a price alone");
        bool isOver = a.supply > 0 && (a.equity <= 0 || a.size == 0 && _vault.mark().size != 0);
        vm.assertTrue((isRuined == 1) == (wasRuined || isOver), "E-8: ruined when nothing is left, or liquidated");
    }

    /// @dev I-13: three ways to give something away.
    function donate(uint256 seed, uint256 amount, uint256 how) external step(seed) {
        address actor = _actor(seed);
        uint256 assets = _assets(amount) / 10;
        Books memory a = _books();
        _asset.mint(actor, assets);
        if (how % 3 == 2) {
            _rig.donate(actor, assets);
            vm.assertGe(_books().nav, a.nav, "I-13: to the account, it is the holders'");
            return;
        }
        vm.prank(actor);
        _asset.transfer(how % 3 == 0 ? address(_vault) : address(_adapter), assets);
        vm.assertEq(_books().exact, a.exact, "I-13: to a contract, it is nobody's");
    }

    /// @dev I-14: nobody who is not asked can do any of this.
    function intrude(uint256 seed, uint256 which) external step(seed) {
        address actor = _actor(seed);
        if (actor == _rig.keeper()) actor = _rig.attacker();
        (address target, bytes memory call) = _forbidden(which % 12, actor);
        bytes32 before = _everything();

        vm.prank(actor);
        (bool isDone,) = target.call(call);

        vm.assertTrue(!isDone && _everything() == before, "I-14: a stranger changed something");
    }

    /* MARKET AND VENUE */

    function move(uint256 seed, int256 by, int256 gap) external step(seed) {
        _price = uint256(int256(_price) * (1e18 + bound(by, -0.12e18, 0.12e18)) / 1e18);
        _price = bound(_price, 1e18, 1e6 * 1e18) / 1e10 * 1e10;
        // Four times in five the venue follows the index.
        _gap = uint256(gap) % 5 != 0 ? int256(0) : bound(gap, -0.03e18, 0.03e18);
        _refresh();
    }

    function crash(uint256 seed, int256 by) external step(seed) {
        if (seed % 16 != 0) return;
        _price = uint256(int256(_price) * (1e18 + bound(by, -0.5e18, 0.5e18)) / 1e18);
        _price = bound(_price, 1e18, 1e6 * 1e18) / 1e10 * 1e10;
        _gap = 0;
        _refresh();
    }

    function wait_(uint256 seed, uint256 duration) external step(seed) {
        _wait(bound(duration, 1, 30 hours));
        _refresh();
    }

    function spoilPrice(uint256 seed, uint256 how) external step(seed) {
        if (seed % 4 == 0) _spoil(how);
    }

    function payFunding(uint256 seed, int256 rate) external step(seed) {
        Books memory a = _books();
        if (a.supply == 0 || a.equity <= 0) return;
        _adapter.fund(a.equity * bound(rate, -0.02e18, 0.02e18) / 1e18);
    }

    function changeVenue(uint256 seed, uint256 fee, int256 slippage, uint256 trouble) external step(seed) {
        _adapter.setFeeRate(bound(fee, 0, 0.002e18));
        _adapter.setSlippage(bound(slippage, -0.01e18, 0.01e18));
        _adapter.setFillRatio(trouble % 12 == 1 ? bound(trouble, 0, WAD) : WAD);
        _adapter.fail(trouble % 12 == 2 ? "closed" : "", trouble % 12 == 3 ? "frozen" : "");
    }

    function liquidate(uint256 seed, uint256 part, uint256 left) external step(seed) {
        if (seed % 16 != 0 || _token.totalSupply() == 0) return;
        Books memory a = _books();
        if (part % 2 == 0) return _adapter.liquidatePart(bound(part, 0.1e18, 0.9e18), 0.02e18);
        _adapter.liquidate(a.equity > 0 ? a.equity * int256(bound(left, 0, 1e18)) / 1e18 : int256(0));
    }

    /* AUTHORITY */

    function changeFees(uint256 seed, uint256 entry, uint256 exit, uint256 daily) external step(seed) {
        IVaultTerms.Fees memory fees = IVaultTerms.Fees({
            mint: uint64(bound(entry, 0, 0.01e18)),
            burn: uint64(bound(exit, 0, 0.01e18)),
            managementPerDay: uint64(bound(daily, 0, 0.001e18))
        });
        _govern(abi.encodeCall(IVaultTerms.setFees, (fees)));
    }

    function changeLimits(uint256 seed, uint256 cap, uint256 chunk) external step(seed) {
        _isCapped = cap % 6 == 0;
        uint128 most = _isCapped ? uint128(anyMagnitude(cap, 7) * _rig.unit()) : type(uint128).max;
        _govern(abi.encodeCall(IVaultTerms.setCaps, (IVaultTerms.Caps({daily: most, total: most}))));
        IVaultTerms.Policy memory policy = _terms.policy();
        policy.minNotional = chunk % 2 == 0 ? 10e18 : 0;
        policy.maxNotional = chunk % 3 == 0 ? uint128(11e18 + anyMagnitude(chunk, 24)) : uint128(MAX_NOTIONAL);
        _govern(abi.encodeCall(IVaultTerms.setPolicy, (policy)));
    }

    function pause(uint256 seed, uint256 duration, uint256 what) external step(seed) {
        bool isArmed = _terms.isPauseArmed();
        if (seed % 4 != 0) what = 2;
        if (what % 3 == 1) return _govern(abi.encodeCall(IVaultTerms.rearmPause, ()));
        vm.prank(_rig.guardian());
        if (what % 3 == 2) return _terms.resume();
        try _terms.pause(bound(duration, 0, 8 days)) {
            vm.assertTrue(isArmed, "I-12: once until rearmed");
            vm.assertLe(_terms.pausedUntil(), block.timestamp + 7 days, "I-12: not longer than that");
            vm.assertTrue(!_terms.isPauseArmed(), "I-12: spent");
        } catch (bytes memory reason) {
            bool isTooLong = isArmed && bytes4(reason) == IVaultTerms.PauseTooLong.selector;
            bool isSpent = !isArmed && bytes4(reason) == IVaultTerms.PauseNotArmed.selector;
            vm.assertTrue(isTooLong || isSpent, _unexpected("pause", reason));
        }
    }

    /* THE END */

    /// @notice I-12: with a venue that works, everybody is let out, whatever the oracle, the guardian and the past say.
    function leaveAll() external {
        if (address(_rig) == address(0)) return;
        _adapter.setFillRatio(WAD);
        _adapter.fail("", "");
        _adapter.setMaxLeverage(type(uint128).max);
        if (_books().equity <= 0) {
            _refresh();
            _vault.checkRuin();
        }
        uint256 left;
        for (uint256 i = 0; i < _actors.length; ++i) {
            left += _leaveAll(_actors[i]);
        }
        // Once more for the fee that its own redemption charged, if it was the first.
        _leaveAll(_rig.treasury());
        left += _leaveAll(_rig.treasury());
        vm.assertEq(_token.totalSupply(), left, "I-1: every share was somebody's");
        if (left == 0 && !_vault.isRuined()) {
            vm.assertEq(_adapter.position().size, 0, "I-12: no position without a share");
        }
        _vault.collectFees();
    }

    function _leaveAll(address holder) private returns (uint256 left) {
        uint256 shares = _token.balanceOf(holder);
        (bool isQuoted, uint256 worth) = _try(abi.encodeCall(_vault.previewRedeem, (shares)));
        vm.assertTrue(isQuoted, "I-12: an exit is quoted in every state");
        bool isRuined = _vault.isRuined();
        // Less than a unit of collateral is not paid for, but by a ruined vault, that takes the shares for nothing.
        if (shares == 0 || (worth == 0 && !isRuined)) return shares;
        uint256 held = _asset.balanceOf(holder);
        vm.prank(holder);
        uint256 paid = _vault.redeem(shares, holder, holder);
        vm.assertEq(paid, worth, "I-8: redeem");
        vm.assertEq(_asset.balanceOf(holder) - held, worth, "I-12: paid");
    }

    /* INTERNALS */

    function _redeem(address actor, uint256 shares) private {
        (, uint256 quoted) = _try(abi.encodeCall(_vault.previewRedeem, (shares)));
        uint256 held = _asset.balanceOf(actor);
        (Books memory a, uint256 supply) = (_books(), _token.totalSupply());

        vm.prank(actor);
        try _vault.redeem(shares, actor, actor) returns (uint256 assets) {
            _checkFee(a, supply, true);
            Books memory b = _books();
            vm.assertEq(assets, quoted, "I-8: redeem");
            vm.assertEq(_asset.balanceOf(actor) - held, assets, "was paid what was said");
            vm.assertEq(a.supply - b.supply, shares, "burnt what was said");
            _checkExit(a, b, 0);
        } catch (bytes memory reason) {
            _checkExitFailure(quoted, reason);
        }
    }

    function _govern(bytes memory call) private {
        Authority authority = _rig.authority();
        vm.startPrank(_rig.owner());
        authority.schedule(address(_terms), call, 0);
        (bool isEarly,) = address(authority).call(abi.encodeCall(authority.execute, (address(_terms), call)));
        vm.assertTrue(!isEarly, "I-14: the timelock waits");
        vm.stopPrank();
        _wait(_rig.TIMELOCK());
        _refresh();
        vm.prank(_rig.owner());
        authority.execute(address(_terms), call);
    }

    /// @dev Our own clock of the management fee (I-7).
    function _wait(uint256 duration) private {
        _integral += _terms.fees().managementPerDay * duration / 1 days;
        vm.warp(block.timestamp + duration);
    }

    function _refresh() private {
        _rig.feed().set(int256(_price / 1e10));
        _adapter.setPrice(uint256(int256(_price) * (1e18 + _gap) / 1e18));
    }

    function _spoil(uint256 how) private {
        if (how % 4 == 0) return _rig.feed().set(0);
        if (how % 4 == 1) return _rig.feed().set(-int256(_price / 1e10));
        uint256 time = how % 4 == 2 ? block.timestamp + 1 : block.timestamp - _rig.HEARTBEAT() - 1;
        _rig.feed().setRound(int256(_price / 1e10), time, time);
    }

    function _actor(uint256 seed) private view returns (address) {
        return _actors[seed / 8 % _actors.length];
    }

    /// @dev An actor with shares, if there is one.
    function _holder(uint256 seed) private view returns (address holder) {
        for (uint256 i = 0; i < _actors.length; ++i) {
            holder = _actors[(seed / 8 + i) % _actors.length];
            if (_token.balanceOf(holder) > 0) return holder;
        }
    }

    /// @dev From the smallest unit to a million.
    function _assets(uint256 amount) private view returns (uint256) {
        return anyMagnitude(amount, 6 + _asset.decimals());
    }

    /// @dev A call that may fail, and its one number.
    function _try(bytes memory call) private returns (bool isDone, uint256 answer) {
        bytes memory data;
        (isDone, data) = address(_vault).call(call);
        if (isDone) answer = abi.decode(data, (uint256));
    }

    function _forbidden(uint256 which, address actor) private view returns (address target, bytes memory call) {
        address terms = address(_terms);
        if (which == 0) return (terms, abi.encodeCall(IVaultTerms.pause, (1)));
        if (which == 1) return (terms, abi.encodeCall(IVaultTerms.resume, ()));
        if (which == 2) return (terms, abi.encodeCall(IVaultTerms.rearmPause, ()));
        if (which == 3) return (terms, abi.encodeCall(IVaultTerms.setTreasury, (actor)));
        if (which == 4) return (terms, abi.encodeCall(IVaultTerms.setFees, (_terms.fees())));
        if (which == 5) return (terms, abi.encodeCall(IVaultTerms.setCaps, (_terms.caps())));
        if (which == 6) return (terms, abi.encodeCall(IVaultTerms.setPolicy, (_terms.policy())));
        if (which == 7) return (address(_adapter), abi.encodeCall(IInstantAdapter.adjust, (1e18, 0, 0)));
        if (which == 8) return (address(_adapter), abi.encodeCall(IPerpAdapter.withdraw, (1, actor)));
        if (which == 9) return (address(_adapter), abi.encodeCall(IPerpAdapter.bind, ()));
        if (which == 10) return (address(_token), abi.encodeCall(_token.mint, (actor, 1)));
        return (address(_token), abi.encodeCall(_token.burn, (_actors[0], _actors[0], 0)));
    }

    function _everything() private view returns (bytes32) {
        return keccak256(
            abi.encode(
                _books(),
                _vault.mark(),
                _vault.feesOwed(),
                _terms.fees(),
                _terms.caps(),
                _terms.policy(),
                _terms.treasury(),
                _terms.pausedUntil(),
                _terms.isPauseArmed()
            )
        );
    }

    /// @dev Nothing came in where nothing may.
    function _checkDoor(Books memory a) private view {
        vm.assertTrue(!_isPaused(), "I-12: a pause stops entries");
        vm.assertTrue(_rig.isPriceGood() && abs(_gap) <= _rig.MAX_DEVIATION(), "I-11: entries need a good price");
        vm.assertTrue(!_vault.isRuined() && (a.supply == 0 || a.equity > 0), "E-8: nothing goes into a ruin");
        vm.assertTrue(a.supply == 0 || abs(a.leverage) <= _terms.policy().bandMax, "E-5: bring leverage back first");
        vm.assertLe(_vault.mintedToday(), _terms.caps().daily, "E-7: the day's cap, whatever the split");
        vm.assertLe(_books().equity / int256(_rig.scale()), int256(_cap(a)), "E-7: the cap on all");
    }

    /// @dev The cap, and what may be above it: gifts to an empty vault, and better fills.
    function _cap(Books memory a) private view returns (uint256) {
        uint256 cap = _terms.caps().total;
        bool isOver = a.supply == 0 || _adapter.slippage() < 0 || _gap != 0;
        return isOver ? uint256(type(int256).max) : cap;
    }

    function _isPaused() private view returns (bool) {
        return _terms.pausedUntil() > block.timestamp;
    }

    /* REASONS: a call may fail for one that fits the state, and for no other (I-12, I-13) */

    function _checkEntryFailure(Books memory a, uint256 assets, bytes memory reason) private view {
        bytes4 why = bytes4(reason);
        // So little that its shares, its cost, or the exposure it buys round to nothing.
        uint256 exposure = assets * _rig.scale() * Math.min(abs(a.leverage), 10e18) / WAD;
        bool isDust = assets <= 10 || assets * _rig.scale() <= 1e7 + 10 * a.nav / WAD
            || (a.supply > 0 && exposure <= 20 * _wei());
        vm.assertTrue(
            _isPriceless(reason) || (why == IPriceOracle.PriceDeviates.selector && _gap != 0)
                || (why == ILeveragedVault.MintsPaused.selector && _isPaused())
                || (why == ILeveragedVault.VaultRuined.selector && (_vault.isRuined() || _isGone()))
                || (why == ILeveragedVault.Underwater.selector && a.equity <= 0)
                || (why == ILeveragedVault.LeverageTooHigh.selector && abs(a.leverage) > _terms.policy().bandMax)
                || (why == ILeveragedVault.DailyCapExceeded.selector && _isCapped)
                || (why == ILeveragedVault.TotalCapExceeded.selector && _isCapped)
                || (why == ILeveragedVault.PartialFill.selector && (_gap != 0 || _adapter.fillRatio() != WAD))
                || (why == MockAdapter.VenueFailed.selector && bytes(_adapter.adjustFailure()).length > 0)
                || (why == MockAdapter.MarginShort.selector && (_gap != 0 || abs(a.leverage) > 6e18))
                || (why == ILeveragedVault.CostExceedsDeposit.selector && isDust)
                || (why == ILeveragedVault.TooFewShares.selector && isDust),
            _unexpected("entry", reason)
        );
    }

    function _checkExitFailure(uint256 worth, bytes memory reason) private view {
        bytes4 why = bytes4(reason);
        int256 worthAtVenue = _adapter.equity();
        int256 leverage = LeverageMath.leverage(_adapter.position().size, _adapter.price(), worthAtVenue);
        vm.assertTrue(
            (why == ILeveragedVault.ZeroAmount.selector && worth == 0)
                || (_adapter.fillRatio() != WAD
                    && (why == ILeveragedVault.PartialFill.selector || why == ILeveragedVault.TooFewAssets.selector))
                || (why == MockAdapter.VenueFailed.selector
                    && bytes(_adapter.adjustFailure()).length + bytes(_adapter.withdrawFailure()).length > 0)
                || (why == MockAdapter.MarginShort.selector && abs(leverage) > 9e18)
                || (why == IPerpAdapter.WithdrawalShort.selector && worthAtVenue <= 0)
                // Of a few wei of the base the venue's own rounding may leave nothing.
                || (why == ILeveragedVault.TooFewAssets.selector
                    && (worthAtVenue <= 0 || worth * _rig.scale() <= 100 * _wei())),
            _unexpected("exit", reason)
        );
    }

    function _checkRebalanceFailure(Books memory a, bool isNothingDue, bytes memory reason) private view {
        bytes4 why = bytes4(reason);
        vm.assertTrue(
            _isPriceless(reason) || (why == ILeveragedVault.NothingDue.selector && isNothingDue)
                || (why == IPriceOracle.PriceDeviates.selector && _gap != 0)
                || (why == ILeveragedVault.MintsPaused.selector && _isPaused())
                || (why == ILeveragedVault.VaultRuined.selector && (_vault.isRuined() || _isGone()))
                || (why == ILeveragedVault.Underwater.selector && a.equity <= 0)
                || (why == ILeveragedVault.TradeTooSmall.selector && a.equity < 1_000e18)
                || (why == ILeveragedVault.NothingFilled.selector
                    && (_gap != 0
                        || _adapter.fillRatio() != WAD
                        || a.equity < int256(_wei() * 100)
                        || isBeyondHalf(_adapter.slippage(), a.leverage)))
                || (why == MockAdapter.VenueFailed.selector && bytes(_adapter.adjustFailure()).length > 0)
                || (why == MockAdapter.MarginShort.selector && _gap != 0),
            _unexpected("rebalance", reason)
        );
    }

    /// @dev I-11: with no price it fails as the oracle does, to the last byte.
    function _isPriceless(bytes memory reason) private view returns (bool) {
        try _rig.oracle().price() returns (uint256) {
            return false;
        } catch (bytes memory why) {
            return keccak256(why) == keccak256(reason);
        }
    }

    function _isGone() private view returns (bool) {
        return _adapter.position().size == 0 && _vault.mark().size != 0;
    }

    function _unexpected(string memory what, bytes memory reason) private pure returns (string memory) {
        return string.concat(what, " failed without a cause: ", vm.toString(reason));
    }
}
