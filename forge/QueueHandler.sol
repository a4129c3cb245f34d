// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IDelayedAdapter} from "interfaces/IDelayedAdapter.sol";
import {ILeveragedVault} from "interfaces/ILeveragedVault.sol";
import {IPerpAdapter} from "interfaces/IPerpAdapter.sol";
import {IQueuedVault} from "interfaces/IQueuedVault.sol";
import {IRequestQueue} from "interfaces/IRequestQueue.sol";
import {IVaultTerms} from "interfaces/IVaultTerms.sol";
import {Authority} from "contracts/Authority.sol";
import {LeverageMath, WAD} from "contracts/libraries/LeverageMath.sol";
import {MockDelayedVenue} from "contracts/mocks/MockDelayedVenue.sol";
import {QueueRig} from "./QueueRig.sol";
import {QueueWatched} from "./QueueWatched.sol";
import {usd} from "./Rig.sol";
import {abs, anyMagnitude, bound, isBeyondHalf, vm} from "./Vm.sol";

/// @title Everything that can happen to a queued vault, by anybody, in any order; each step is held to the rules of
/// QueueWatched.
/// @dev The first step of a run chooses the world. Nothing here reverts, but where a rule is broken or a call fails
/// without a reason that fits the state.
contract QueueHandler is QueueWatched {
    uint256 private constant MAX_NOTIONAL = type(uint128).max;
    uint256 private constant RETRY_DELAY = 2 minutes;

    QueueRig[] private _worlds;
    /// @dev How far the venue's price is from the index, WAD fraction.
    int256 private _gap;
    bool private _isCapped;
    /// @dev What came to the account between a fill and its settlement: the vault sees it after that.
    int256 private _afterFill;

    constructor() {
        _worlds.push(new QueueRig(3e18, usd(6)));
        _worlds.push(new QueueRig(-3e18, usd(18)));
        _worlds.push(new QueueRig(-1e18, usd(6)));
        _worlds.push(new QueueRig(2e18, usd(18)));
    }

    modifier step(uint256 seed) {
        if (address(_rig) == address(0)) {
            _watch(_worlds[seed % _worlds.length]);
            if (seed / 8 % 4 != 0) _begin();
        }
        _;
        _checkClaims();
        _checkLedger();
    }

    /* USERS */

    /// @dev For oneself, for another, or by an operator.
    function requestDeposit(uint256 seed, uint256 amount, uint256 how) external step(seed) {
        _requestDeposit(_actor(seed), _actor(how), anyMagnitude(amount, 5 + _asset.decimals()), how);
    }

    function requestRedeem(uint256 seed, uint256 bp, uint256 how) external step(seed) {
        address owner = _holder(seed);
        uint256 shares = _token.balanceOf(owner) * (bp % 4 == 0 ? 10_000 : bound(bp, 1, 10_000)) / 10_000;
        if (shares > 0) _requestRedeem(owner, _actor(how), shares, how);
    }

    function cancelDeposit(uint256 seed, uint256 which) external step(seed) {
        address actor = _actor(seed);
        _cancelDeposit(actor, which % 3 == 2 ? 0 : _in[actor][which % 3]);
    }

    function cancelRedeem(uint256 seed, uint256 which) external step(seed) {
        address actor = _actor(seed);
        _cancelRedeem(actor, which % 3 == 2 ? 0 : _out[actor][which % 3]);
    }

    function claim(uint256 seed, uint256 bp, uint256 how) external step(seed) {
        bp = bp % 2 == 0 ? 10_000 : bound(bp, 1, 10_000);
        for (uint256 i = 0; i < _actors.length; ++i) {
            address actor = _actors[(seed / 8 + i) % _actors.length];
            if (how % 2 == 0 && _queue.maxDeposit(actor) > 0) return _claimShares(actor, bp, how / 2 % 2 == 0);
            if (how % 2 == 1 && _queue.maxRedeem(actor) > 0) return _claimAssets(actor, bp, how / 2 % 2 == 0);
        }
    }

    function transfer(uint256 seed, uint256 to, uint256 bp) external step(seed) {
        address from = _holder(seed);
        uint256 shares = _token.balanceOf(from) * bound(bp, 0, 10_000) / 10_000;
        vm.prank(from);
        _token.transfer(_actor(to), shares);
    }

    /* ORDERS */

    function commit(uint256 seed, uint256 how) external step(seed) {
        _commit(_actor(seed), how % 4 == 0);
    }

    /// @dev A whole order at once, so that runs get far.
    function fill(uint256 seed, int256 by) external step(seed) {
        if (!_commit(_rig.keeper(), false) || !_sent.isInFlight) return;
        _wait(_venue.fillableFrom());
        _jump(by, 0.05e18);
        _settle(_actor(seed), true);
    }

    function execute(uint256 seed, int256 by) external step(seed) {
        if (_venue.order().stage != IDelayedAdapter.Stage.WAITING) return;
        // What a stranger's reward costs beyond the filled part of a first order, nobody is there to bear.
        if (_token.totalSupply() == 0 && _venue.fillRatio() != WAD) return;
        if (seed % 2 == 0) _wait(_venue.fillableFrom());
        _jump(by, 0.08e18);
        Books memory a = _booksAt(_price);
        vm.prank(_actor(seed));
        try _venue.execute(_price) {
            _fillPrice = _price;
            Books memory b = _booksAt(_price);
            bool isFilled = _venue.order().stage == IDelayedAdapter.Stage.FILLED;
            if (isFilled) vm.assertEq(b.equity, a.equity, "nobody's equity depends on who settles when");
        } catch {
            _refresh();
        }
    }

    function settle(uint256 seed, int256 by, uint256 how) external step(seed) {
        if (how % 4 == 1) _wait(_venue.fillableFrom());
        if (how % 4 == 2) _wait(_venue.cancellableFrom());
        if (how % 8 == 3) _jump(by, 0.08e18);
        _settle(_actor(seed), how % 3 != 0);
    }

    function cancelAtVenue(uint256 seed) external step(seed) {
        if (_venue.order().stage != IDelayedAdapter.Stage.WAITING) return;
        _wait(_venue.cancellableFrom());
        vm.prank(_actor(seed));
        (bool isDone,) = address(_venue).call(abi.encodeCall(_venue.cancel, ()));
        vm.assertTrue(isDone || _venue.isFrozen(), "old orders can be cancelled");
    }

    function collectCash(uint256 seed) external step(seed) {
        uint256 missing = _vault.cashShort();
        Books memory a = _booksAt(_price);
        uint256 held = _token.balanceOf(_rig.treasury());
        uint256 supply = _token.totalSupply();
        vm.recordLogs();
        vm.prank(_actor(seed));
        _vault.collectCash();
        uint256 got = missing - _vault.cashShort();
        Told memory told = _listen(false, 0);
        _checkFee(held, supply, told);
        vm.assertTrue(got <= missing, "no more than is missing");
        if (told.lost == 0) vm.assertEq(_booksAt(_price).equity, a.equity, "I-14: changes no claim");
    }

    function accrue(uint256 seed) external step(seed) {
        Books memory a = _booksAt(_price);
        uint256 held = _token.balanceOf(_rig.treasury());
        uint256 supply = _token.totalSupply();
        vm.recordLogs();
        vm.prank(_actor(seed));
        try _vault.accrue() {
            _checkFee(held, supply, _listen(false, 0));
            Books memory b = _booksAt(_price);
            vm.assertTrue(a.equity == b.equity && a.supply == b.supply, "I-14: changes no claim");
        } catch (bytes memory reason) {
            vm.assertTrue(!_rig.isPriceGood(), _unexpected("accrue", reason));
        }
    }

    function collectFees(uint256 seed) external step(seed) {
        uint256 owed = _vault.feesOwed();
        vm.prank(_actor(seed));
        try _vault.collectFees() returns (uint256 got) {
            vm.assertEq(got, owed, "all of it");
            _fees -= got;
        } catch (bytes memory reason) {
            bool isShort = bytes4(reason) == IQueuedVault.CashInTransit.selector && _vault.cashShort() > 0;
            vm.assertTrue(isShort, _unexpected("fees", reason));
        }
    }

    function checkRuin(uint256 seed) external step(seed) {
        Books memory a = _booksAt(_price);
        bool wasRuined = _vault.isRuined();
        bool isOver = a.supply > 0 && (a.equity <= 0 || (a.size == 0 && _vault.mark().size != 0));
        vm.prank(_actor(seed));
        try _vault.checkRuin() returns (bool isRuined) {
            vm.assertTrue(isRuined == (wasRuined || isOver), "E-8: ruined when nothing is left, or liquidated");
        } catch (bytes memory reason) {
            vm.assertTrue(!_rig.isPriceGood(), _unexpected("ruin", reason));
        }
    }

    /// @dev I-13: ways to give something away.
    function donate(uint256 seed, uint256 amount, uint256 how) external step(seed) {
        address actor = _actor(seed);
        Books memory a = _booksAt(_price);
        if (how % 4 == 3) {
            uint256 shares = _token.balanceOf(actor) / 100;
            vm.prank(actor);
            _token.transfer(address(_queue), shares);
            _shareGifts += shares;
            return;
        }
        uint256 assets = anyMagnitude(amount, 5 + _asset.decimals()) / 10;
        if (how % 4 == 2) {
            _rig.donate(actor, assets);
            if (_isFilled()) _afterFill += int256(assets * _rig.scale());
            return vm.assertGe(_booksAt(_price).nav, a.nav, "I-13: to the account, it is the holders'");
        }
        _asset.mint(how % 4 == 0 ? address(_queue) : address(_vault), assets);
        if (how % 4 == 0) _gifts += assets;
        vm.assertEq(_booksAt(_price).equity, a.equity, "I-13: to a contract, it is nobody's");
    }

    /// @dev I-14: nobody who is not asked can do any of this.
    function intrude(uint256 seed, uint256 which) external step(seed) {
        address actor = _actor(seed);
        if (actor == _rig.keeper()) actor = _rig.attacker();
        (address target, bytes memory call) = _forbidden(which % 24, actor);
        bytes32 before = _everything();
        vm.prank(actor);
        (bool isDone,) = target.call(call);
        vm.assertTrue(!isDone && _everything() == before, "I-14: a stranger changed something");
    }

    /* MARKET AND VENUE */

    function move(uint256 seed, int256 by, int256 gap) external step(seed) {
        _gap = uint256(gap) % 5 != 0 ? int256(0) : bound(gap, -0.03e18, 0.03e18);
        _jump(by, 0.12e18);
    }

    function crash(uint256 seed, int256 by) external step(seed) {
        if (seed % 16 == 0) _jump(by, 0.5e18);
    }

    function wait_(uint256 seed, uint256 duration) external step(seed) {
        _wait(bound(duration, 1, duration % 2 == 0 ? 3 minutes : 30 hours));
    }

    function spoilPrice(uint256 seed, uint256 how) external step(seed) {
        if (seed % 4 != 0) return;
        if (how % 3 == 0) return _rig.feed().set(0);
        uint256 time = how % 3 == 1 ? block.timestamp + 1 : block.timestamp - _rig.HEARTBEAT() - 1;
        _rig.feed().setRound(int256(_price / 1e10), time, time);
    }

    function payFunding(uint256 seed, int256 rate) external step(seed) {
        Books memory a = _booksAt(_price);
        if (a.supply == 0 || a.equity <= 0) return;
        int256 paid = a.equity * bound(rate, -0.02e18, 0.02e18) / 1e18;
        _venue.fund(paid);
        if (_isFilled()) _afterFill += paid;
    }

    function changeVenue(uint256 seed, uint256 fee, int256 slippage, uint256 trouble) external step(seed) {
        _venue.setFeeRate(bound(fee, 0, 0.002e18));
        _venue.setSlippage(bound(slippage, -0.01e18, 0.01e18));
        _venue.setFillRatio(trouble % 8 == 1 ? bound(trouble / 8, 0, WAD) : WAD);
        _venue.fail(trouble % 8 == 2 ? "closed" : "", trouble % 8 == 3 ? "busy" : "");
        _venue.setFrozen(trouble % 8 == 4);
        _venue.setKeeperDeposit(trouble % 3 == 0 ? 2e18 : 0);
        _venue.setMarginMovesWithOrders(trouble % 5 == 0);
    }

    function liquidate(uint256 seed, uint256 part, uint256 left) external step(seed) {
        if (seed % 16 != 0 || _token.totalSupply() == 0 || _venue.order().stage == IDelayedAdapter.Stage.FILLED) {
            return;
        }
        // What was not filled of deposits is promised back in full: nothing writes off what the venue still has of it.
        if (_isPartBack) return;
        IPerpAdapter.Position memory p = _venue.position();
        if (part % 2 == 0) return _venue.liquidatePart(bound(part, 0.1e18, 0.9e18), 0.02e18);
        int256 equity = LeverageMath.equity(p.cash, p.size, _price);
        _venue.liquidate(equity > 0 ? equity * int256(bound(left, 0, 1e18)) / 1e18 : int256(0));
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
        } catch (bytes memory reason) {
            bool isTooLong = isArmed && bytes4(reason) == IVaultTerms.PauseTooLong.selector;
            bool isSpent = !isArmed && bytes4(reason) == IVaultTerms.PauseNotArmed.selector;
            vm.assertTrue(isTooLong || isSpent, _unexpected("pause", reason));
        }
    }

    /* THE END */

    /// @notice I-6, I-12: with a venue that works, everybody gets out through calls that are anyone's.
    function leaveAll() external {
        if (address(_rig) == address(0)) return;
        _venue.setFillRatio(WAD);
        _venue.fail("", "");
        _venue.setFrozen(false);
        _venue.setSlippage(0);
        _venue.setKeeperDeposit(0);
        _venue.setMaxLeverage(type(uint128).max);
        _gap = 0;
        for (uint256 round = 0; round < 5; ++round) {
            _wait(3 minutes);
            if (_sent.isInFlight) {
                _settle(_rig.outsider(), false);
                vm.assertTrue(!_sent.isInFlight, "I-6: old orders end");
            }
            _letGo();
            if (_isOver()) _vault.checkRuin();
            _collect();
            _everybodyAsks(true);
            if (_redemptions == 0) break;
            if (!_commit(_rig.outsider(), true) || !_sent.isInFlight) continue;
            _wait(_venue.fillableFrom());
            _settle(_rig.outsider(), true);
        }
        _everybodyAsks(false);
        _checkClaims();
        uint256 left;
        uint256 nav = _vault.isRuined() ? 0 : _booksAt(_price).nav;
        for (uint256 i = 0; i < _actors.length; ++i) {
            address a = _actors[i];
            left += _token.balanceOf(a) + _queue.maxMint(a);
            vm.assertEq(_queue.maxRedeem(a), 0, "I-6: claimed");
        }
        left += _redemptions;
        if (_lost == 0) vm.assertLe(_deposits, 6 * _settlements, "I-6: deposits are out");
        // The last settlement pays its tips in shares. What an order is too small for waits for company: where gifts of shares keep the vault from ending.
        uint256 dust = _terms.policy().minNotional * WAD / abs(_rig.target()) + 1e16;
        if (nav > 0) vm.assertLe(left * nav / WAD, _shareGifts > 0 ? dust : 1e16, "I-6: shares are out");
    }

    /// @dev What is owed to others may wait for an order that nobody has a reason to send, where margin moves with orders
    /// alone. And a position that cannot pay for its own close the venue takes away.
    function _letGo() private {
        if (_idle() < 0) _venue.setMarginMovesWithOrders(false);
        _collect();
        IPerpAdapter.Position memory p = _venue.position();
        uint256 fee = LeverageMath.feeUp(abs(LeverageMath.notional(p.size, _price)), _venue.feeRate());
        if (p.size == 0 || LeverageMath.equity(p.cash, p.size, _price) >= int256(fee + _rig.scale())) return;
        _venue.liquidate(0);
    }

    function _collect() private {
        vm.recordLogs();
        _vault.collectCash();
        _listen(false, 0);
    }

    function _isOver() private view returns (bool) {
        Books memory b = _booksAt(_price);
        return !_vault.isRuined() && b.supply > 0 && (b.equity <= 0 || (b.size == 0 && _vault.mark().size != 0));
    }

    function _everybodyAsks(bool isLeaving) private {
        uint256 held = _token.balanceOf(_rig.treasury());
        uint256 supply = _token.totalSupply();
        vm.recordLogs();
        _vault.accrue();
        _checkFee(held, supply, _listen(false, 0));
        for (uint256 i = 0; i < _actors.length; ++i) {
            address a = _actors[i];
            for (uint256 j = 0; j < 2; ++j) {
                _cancelDeposit(a, _in[a][j]);
                _cancelRedeem(a, _out[a][j]);
            }
            _cancelDeposit(a, 0);
            _cancelRedeem(a, 0);
            if (_queue.maxDeposit(a) > 0) _claimShares(a, 10_000, true);
            if (_queue.maxMint(a) > 0) _claimShares(a, 10_000, false);
            if (_queue.maxRedeem(a) > 0) _claimAssets(a, 10_000, true);
            uint256 shares = _token.balanceOf(a);
            if (shares > 0 && isLeaving) _requestRedeem(a, a, shares, 2);
        }
    }

    /* INTERNALS */

    function _begin() private {
        _requestDeposit(_actors[0], _actors[0], 10_000 * _rig.unit(), 2);
        _commit(_rig.keeper(), false);
        _wait(_venue.fillableFrom());
        _settle(_rig.keeper(), true);
        _claimShares(_actors[0], 10_000, true);
    }

    function _requestDeposit(address owner, address other, uint256 assets, uint256 how) private {
        address controller = how % 8 == 0 ? other : owner;
        address sender = how % 8 == 1 ? other : owner;
        _asset.mint(owner, assets);
        if (sender != owner) {
            vm.prank(owner);
            _queue.setOperator(sender, true);
        }
        vm.prank(sender);
        try _queue.requestDeposit(assets, controller, owner, how / 8 % 2 == 0) returns (uint256 id) {
            _deposits += assets;
            _in[controller][id % 2] = id;
        } catch (bytes memory reason) {
            bytes4 why = bytes4(reason);
            uint256 least = _terms.policy().minNotional * WAD / abs(_rig.target()) / _rig.scale() + 2;
            vm.assertTrue(
                (why == IRequestQueue.RequestTooSmall.selector && assets < least)
                    || (why == IRequestQueue.DailyCapExceeded.selector && _isCapped)
                    || (why == IRequestQueue.TotalCapExceeded.selector && _isCapped)
                    || (why == ILeveragedVault.MintsPaused.selector && _isPaused())
                    || (why == ILeveragedVault.VaultRuined.selector && _vault.isRuined()),
                _unexpected("request", reason)
            );
        }
        if (sender != owner) {
            vm.prank(owner);
            _queue.setOperator(sender, false);
        }
    }

    /// @dev Never refused (E-7).
    function _requestRedeem(address owner, address other, uint256 shares, uint256 how) private {
        address controller = how % 8 == 0 ? other : owner;
        address sender = how % 8 == 1 ? other : owner;
        if (sender != owner) {
            vm.prank(owner);
            _token.approve(sender, shares);
        }
        vm.prank(sender);
        uint256 id = _queue.requestRedeem(shares, controller, owner, how / 8 % 2 == 0);
        _out[controller][id % 2] = id;
        _redemptions += shares;
    }

    function _cancelDeposit(address actor, uint256 id) private {
        uint256 back = _queue.refundableDepositRequest(id, actor);
        uint256 waits = _queue.pendingDepositRequest(id, actor);
        uint256 held = _asset.balanceOf(actor);
        vm.recordLogs();
        vm.prank(actor);
        try _queue.cancelDepositRequest(id, actor, actor) returns (uint256 assets) {
            _listen(false, 0);
            _deposits -= assets;
            vm.assertEq(_asset.balanceOf(actor) - held, assets, "what was said");
            if (_lost == 0) vm.assertTrue(assets == back || assets == waits, "I-6: all of it");
        } catch (bytes memory reason) {
            bytes4 why = bytes4(reason);
            (uint256 flying,) = _queue.inFlight();
            vm.assertTrue(
                (why == IRequestQueue.NoRequest.selector && back + waits == 0)
                    || (why == IRequestQueue.RequestSettled.selector && back + waits == 0)
                    || (why == IRequestQueue.RequestInFlight.selector && back == 0 && flying > 0)
                    || (why == IRequestQueue.CashInTransit.selector && _vault.cashShort() > 0),
                _unexpected("cancel deposit", reason)
            );
        }
    }

    function _cancelRedeem(address actor, uint256 id) private {
        uint256 back = _queue.refundableRedeemRequest(id, actor);
        uint256 waits = _queue.pendingRedeemRequest(id, actor);
        vm.prank(actor);
        try _queue.cancelRedeemRequest(id, actor, actor) returns (uint256 shares) {
            _redemptions -= shares;
            vm.assertTrue(shares == back || shares == waits, "I-6: all of it");
        } catch (bytes memory reason) {
            bytes4 why = bytes4(reason);
            (, uint256 flying) = _queue.inFlight();
            vm.assertTrue(
                (why == IRequestQueue.NoRequest.selector && back + waits == 0)
                    || (why == IRequestQueue.RequestSettled.selector && back == 0)
                    || (why == IRequestQueue.RequestInFlight.selector && back == 0 && flying > 0),
                _unexpected("cancel redemption", reason)
            );
        }
    }

    function _claimShares(address actor, uint256 bp, bool isByAssets) private {
        uint256 most = isByAssets ? _queue.maxDeposit(actor) : _queue.maxMint(actor);
        uint256 part = most * bp / 10_000;
        if (part == 0) return;
        uint256 held = _token.balanceOf(actor);
        vm.prank(actor);
        if (isByAssets) _queue.deposit(part, actor, actor);
        else _queue.mint(part, actor, actor);
        uint256 got = _token.balanceOf(actor) - held;
        if (!isByAssets) vm.assertEq(got, part, "the shares asked for");
        _unclaimed -= got;
    }

    function _claimAssets(address actor, uint256 bp, bool isByShares) private {
        uint256 most = isByShares ? _queue.maxRedeem(actor) : _queue.maxWithdraw(actor);
        uint256 part = most * bp / 10_000;
        if (part == 0) return;
        uint256 held = _asset.balanceOf(actor);
        vm.prank(actor);
        if (isByShares) _queue.redeem(part, actor, actor);
        else _queue.withdraw(part, actor, actor);
        uint256 got = _asset.balanceOf(actor) - held;
        if (!isByShares) vm.assertEq(got, part, "the assets asked for");
        _payouts -= got;
    }

    function _commit(address actor, bool isExits) private returns (bool) {
        Books memory a = _booksAt(_vault.isRuined() || !_rig.isPriceGood() ? _vault.mark().price : _price);
        uint256 supply = _token.totalSupply();
        uint256 held = _token.balanceOf(_rig.treasury());
        (uint256 assets, uint256 shares,,) = _queue.next();
        bool wasShort = _vault.cashShort() > 0;
        vm.recordLogs();
        vm.prank(actor);
        (bool isDone, bytes memory answer) =
            address(_vault).call(isExits ? abi.encodeCall(_vault.commitExits, ()) : abi.encodeCall(_vault.commit, ()));
        if (!isDone) {
            _checkCommitFailure(a, assets, shares, wasShort, isExits, answer);
            return false;
        }
        (, int256 size) = abi.decode(answer, (ILeveragedVault.Trigger, int256));
        Told memory told = _listen(size == 0, 0);
        _checkFee(held, supply, told);
        vm.assertTrue(!isExits || _sent.assets == 0, "exits alone");
        vm.assertTrue(_sent.assets == 0 || !_isPaused(), "I-12: a pause stops entries");
        vm.assertTrue(
            _sent.assets == 0 || (_rig.isPriceGood() && abs(_gap) <= _rig.MAX_DEVIATION()),
            "I-11: entries need a good price"
        );
        vm.assertTrue(_sent.assets == 0 || !_vault.isRuined(), "E-8: nothing goes into a ruin");
        vm.assertTrue(_sent.trigger == ILeveragedVault.Trigger.NONE || _rig.isPriceGood(), "I-11: nor does a rebalance");
        return true;
    }

    function _settle(address actor, bool hasProof) private {
        uint256 price = _isFilled() ? _fillPrice : _price;
        Books memory a = _booksAt(price);
        uint256 supply = _token.totalSupply();
        uint256 held = _token.balanceOf(_rig.treasury());
        IDelayedAdapter.Order memory order = _venue.order();
        bytes[] memory proof = new bytes[](hasProof ? 1 : 0);
        if (hasProof) proof[0] = abi.encode(_price);
        vm.recordLogs();
        vm.prank(actor);
        try _vault.settle(proof) returns (int256 size) {
            Told memory told = _listen(size != 0, size);
            _checkFee(held, supply, told);
            vm.assertTrue(!_sent.isInFlight, "I-6: it ended");
            if (size != 0 && told.lost == 0) _checkSettled(a, told, price, size, _afterFill);
            _afterFill = 0;
            if (size == 0) {
                vm.assertTrue(
                    _token.totalSupply() == supply || _vault.isRuined(), "E-3: a failed order changes nothing"
                );
            }
        } catch (bytes memory reason) {
            bytes4 why = bytes4(reason);
            bool isEarly = order.stage == IDelayedAdapter.Stage.WAITING && block.timestamp < order.cancellableFrom
                && !(hasProof
                    && block.timestamp >= order.fillableFrom
                    && block.timestamp <= order.fillableFrom + _venue.fillableUntil() - _venue.fillableFrom());
            vm.assertTrue(
                (why == IDelayedAdapter.NoOrder.selector && !_sent.isInFlight)
                    || (why == IDelayedAdapter.OrderWaiting.selector && isEarly)
                    || (why == MockDelayedVenue.VenueFailed.selector && _venue.isFrozen()),
                _unexpected("settle", reason)
            );
        }
    }

    /// @dev A commit may fail for a reason that fits the state, and for no other (I-6).
    function _checkCommitFailure(
        Books memory a,
        uint256 assets,
        uint256 shares,
        bool wasShort,
        bool isExits,
        bytes memory reason
    ) private view {
        bytes4 why = bytes4(reason);
        // What the venue and the entrants go by, also where the vault takes the price of its last booking.
        Books memory now_ = _booksAt(_price);
        int256 leverage = LeverageMath.leverage(now_.size, _price, now_.equity);
        bool isStopped = isExits || _isPaused() || _vault.isRuined() || !_rig.isPriceGood() || _gap != 0
            || abs(leverage) > _terms.policy().bandMax;
        uint256 value = assets * _rig.scale() + (a.supply == 0 ? 0 : shares * a.nav / WAD);
        bool isOdd = _gap != 0 || _venue.fillRatio() != WAD || !_rig.isPriceGood();
        vm.assertTrue(
            (why == IQueuedVault.OrderPending.selector && _sent.isInFlight)
                || (why == ILeveragedVault.PositionGone.selector && a.size == 0)
                || (why == ILeveragedVault.Underwater.selector && a.equity <= 0)
                || (why == ILeveragedVault.NothingDue.selector
                    && (shares == 0 || wasShort)
                    && (assets == 0 || isStopped))
                || (why == IQueuedVault.RetryTooEarly.selector && block.timestamp < _failedAt + RETRY_DELAY)
                || (why == IQueuedVault.BatchTooSmall.selector
                    && (value * abs(_rig.target()) / WAD <= _terms.policy().minNotional + 1e15
                        || isStopped
                        || wasShort))
                || (why == IQueuedVault.PriceBeyondLimit.selector
                    && (isOdd || isBeyondHalf(_venue.slippage(), leverage)))
                || (why == ILeveragedVault.NothingFilled.selector && (isOdd || value < 1e15))
                || (why == MockDelayedVenue.VenueFailed.selector && bytes(_venue.submitFailure()).length > 0)
                || (why == IDelayedAdapter.MarginShort.selector
                    && (_gap != 0 || abs(leverage) > 6e18 || now_.equity < 20e18)),
            _unexpected("commit", reason)
        );
    }

    function _govern(bytes memory call) private {
        Authority authority = _rig.authority();
        vm.startPrank(_rig.owner());
        authority.schedule(address(_terms), call, 0);
        (bool isEarly,) = address(authority).call(abi.encodeCall(authority.execute, (address(_terms), call)));
        vm.assertTrue(!isEarly, "I-14: the timelock waits");
        vm.stopPrank();
        _wait(_rig.TIMELOCK());
        vm.prank(_rig.owner());
        authority.execute(address(_terms), call);
    }

    /// @dev Our own clock of the management fee (I-7); the feed answers again.
    function _wait(uint256 duration) private {
        _integral += _terms.fees().managementPerDay * duration / 1 days;
        vm.warp(block.timestamp + duration);
        _refresh();
    }

    function _jump(int256 by, uint256 most) private {
        _price = uint256(int256(_price) * (1e18 + bound(by, -int256(most), int256(most))) / 1e18);
        _price = bound(_price, 1e18, 1e6 * 1e18) / 1e10 * 1e10;
        _refresh();
    }

    function _refresh() private {
        _rig.feed().set(int256(_price / 1e10));
        _venue.setPrice(uint256(int256(_price) * (1e18 + _gap) / 1e18));
    }

    function _actor(uint256 seed) private view returns (address) {
        return _actors[seed / 8 % 5];
    }

    /// @dev An actor with shares, if there is one.
    function _holder(uint256 seed) private view returns (address holder) {
        for (uint256 i = 0; i < 5; ++i) {
            holder = _actors[(seed / 8 + i) % 5];
            if (_token.balanceOf(holder) > 0) return holder;
        }
    }

    function _isFilled() private view returns (bool) {
        return _venue.order().stage == IDelayedAdapter.Stage.FILLED;
    }

    function _isPaused() private view returns (bool) {
        return _terms.pausedUntil() > block.timestamp;
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
        if (which == 7) return (address(_venue), abi.encodeCall(IDelayedAdapter.submit, (1e18, 0, 0, 0, actor)));
        if (which == 8) return (address(_venue), abi.encodeCall(IDelayedAdapter.settle, (new bytes[](0), actor)));
        if (which == 9) return (address(_venue), abi.encodeCall(IPerpAdapter.withdraw, (1, actor)));
        if (which == 10) return (address(_venue), abi.encodeCall(IPerpAdapter.bind, ()));
        if (which == 11) return (address(_token), abi.encodeCall(_token.mint, (actor, 1)));
        if (which == 12) return (address(_token), abi.encodeCall(_token.burn, (_actors[0], _actors[0], 0)));
        if (which == 13) return (address(_token), abi.encodeCall(_token.pull, (actor, _actors[0], 0)));
        address queue = address(_queue);
        if (which == 14) return (queue, abi.encodeCall(_queue.bind, (_token)));
        if (which == 15) return (queue, abi.encodeCall(_queue.commit, (true, true, 1, actor)));
        if (which == 16) return (queue, abi.encodeCall(_queue.settle, (true, 1, 1, 0, 0, 0)));
        if (which == 17) return (queue, abi.encodeCall(_queue.fail, (true)));
        if (which == 18) return (queue, abi.encodeCall(_queue.refund, (0)));
        if (which == 19) return (queue, abi.encodeCall(_queue.writeOff, (1)));
        if (which == 20) return (queue, abi.encodeCall(_queue.close, ()));
        if (which == 21) return (queue, abi.encodeCall(_queue.pay, (actor, 1)));
        // The claims of a stranger to them, who is nobody's operator.
        address victim = actor == _actors[0] ? _actors[1] : _actors[0];
        if (which == 22) return (queue, abi.encodeWithSignature("redeem(uint256,address,address)", 1, actor, victim));
        return (queue, abi.encodeCall(_queue.cancelDepositRequest, (_in[victim][0], actor, victim)));
    }

    function _everything() private view returns (bytes32) {
        return keccak256(
            abi.encode(
                _booksAt(_price),
                _vault.mark(),
                _vault.feesOwed(),
                _asset.balanceOf(address(_queue)),
                _terms.fees(),
                _terms.caps(),
                _terms.policy(),
                _terms.treasury(),
                _terms.pausedUntil(),
                _terms.isPauseArmed()
            )
        );
    }

    function _unexpected(string memory what, bytes memory reason) private pure returns (string memory) {
        return string.concat(what, " failed without a cause: ", vm.toString(reason));
    }
}
