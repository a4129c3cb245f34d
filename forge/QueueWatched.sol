// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {IDelayedAdapter} from "interfaces/IDelayedAdapter.sol";
import {ILeveragedToken} from "interfaces/ILeveragedToken.sol";
import {ILeveragedVault} from "interfaces/ILeveragedVault.sol";
import {IPerpAdapter} from "interfaces/IPerpAdapter.sol";
import {IQueuedVault} from "interfaces/IQueuedVault.sol";
import {IVaultTerms} from "interfaces/IVaultTerms.sol";
import {QueuedVault} from "contracts/QueuedVault.sol";
import {RequestQueue} from "contracts/RequestQueue.sol";
import {Batches} from "contracts/libraries/Batches.sol";
import {LeverageMath, VIRTUAL, WAD} from "contracts/libraries/LeverageMath.sol";
import {MockDelayedVenue} from "contracts/mocks/MockDelayedVenue.sol";
import {MockERC20} from "contracts/mocks/MockERC20.sol";
import {QueueRig} from "./QueueRig.sol";
import {abs, Vm, vm} from "./Vm.sol";

/// @title What the handler of a queued vault counts by itself, and the rules it holds the vault to.
abstract contract QueueWatched {
    /// @dev The holders' part at one price, with the management fee up to now.
    struct Books {
        int256 size;
        int256 equity;
        uint256 supply;
        uint256 nav;
    }

    /// @dev The order on its way, as Committed told it.
    struct Sent {
        bool isInFlight;
        uint256 assets;
        uint256 shares;
        int256 order;
        ILeveragedVault.Trigger trigger;
    }

    /// @dev What the vault told in one call, and the venue: what its fill cost against the index, WAD. `brought` and `shares`
    /// are what was filled of the batches, `brought` in assets net of the mint fee.
    struct Told {
        bool isSettled;
        bool isBooked;
        bool isRebalanced;
        int256 cost;
        uint256 brought;
        uint256 shares;
        uint256 minted;
        uint256 paid;
        uint256 tipShares;
        uint256 lost;
    }

    QueueRig internal _rig;
    QueuedVault internal _vault;
    RequestQueue internal _queue;
    ILeveragedToken internal _token;
    IVaultTerms internal _terms;
    MockERC20 internal _asset;
    MockDelayedVenue internal _venue;
    address[] internal _actors;
    /// @dev The index price, also while the feed does not tell it, and the last at which an order was executed.
    uint256 internal _price;
    uint256 internal _fillPrice;
    /// @dev Deposits that have not ended, payouts and fees that were not taken, what was given away or lost; assets.
    uint256 internal _deposits;
    uint256 internal _payouts;
    uint256 internal _fees;
    uint256 internal _gifts;
    uint256 internal _lost;
    /// @dev Redemptions that have not ended, shares that were not claimed, shares that were given away.
    uint256 internal _redemptions;
    uint256 internal _unclaimed;
    uint256 internal _shareGifts;
    /// @dev Settlements: each may round by a wei for each controller.
    uint256 internal _settlements;
    /// @dev Latest batches of everybody, by their parity.
    mapping(address controller => uint256[2]) internal _in;
    mapping(address controller => uint256[2]) internal _out;
    Sent internal _sent;
    uint256 internal _failedAt;
    /// @dev Whether the venue has deposits to give back that it filled in part.
    bool internal _isPartBack;
    /// @dev The fee's integral at the last booking, as the vault's terms had it, and our own count up to now.
    uint256 internal _booked;
    uint256 internal _bookedByUs;
    uint256 internal _integral;

    function rig() external view returns (QueueRig) {
        return _rig;
    }

    function _watch(QueueRig rig_) internal {
        _rig = rig_;
        _vault = rig_.vault();
        _queue = rig_.queue();
        _token = rig_.token();
        _terms = rig_.terms();
        _asset = rig_.asset();
        _venue = rig_.venue();
        _actors = [rig_.minter(), rig_.redeemer(), rig_.keeper(), rig_.outsider(), rig_.attacker(), rig_.treasury()];
        _price = rig_.START_PRICE();
        for (uint256 i = 0; i < _actors.length; ++i) {
            rig_.give(_actors[i], 0);
        }
    }

    /// @dev I-1 by our own count: all that lies in the queue is the holders' or somebody's claim.
    function _idle() internal view returns (int256) {
        return int256(_asset.balanceOf(address(_queue)) + _lost) - int256(_deposits + _payouts + _fees + _gifts);
    }

    function _booksAt(uint256 price) internal view returns (Books memory b) {
        IPerpAdapter.Position memory p = _venue.position();
        (,, uint256 integral,) = _terms.rates();
        b.size = p.size;
        b.equity = LeverageMath.equity(p.cash + _idle() * int256(_rig.scale()), p.size, price);
        b.supply = _token.totalSupply();
        b.supply += LeverageMath.managementShares(b.supply, integral - _booked);
        b.nav = LeverageMath.nav(b.equity, b.supply);
    }

    /* WHAT THE VAULT TELLS */

    /// @dev After a call in which the vault may have committed or settled. `size` is the fill of the order that was in flight.
    function _listen(bool isEnded, int256 size) internal returns (Told memory told) {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; ++i) {
            bytes32 topic = logs[i].topics[0];
            if (logs[i].emitter == address(_venue) && topic == IDelayedAdapter.Settled.selector) {
                (int256 filled, int256 cash,, uint256 price) =
                    abi.decode(logs[i].data, (int256, int256, uint256, uint256));
                told.cost = LeverageMath.costOf(filled, cash, price);
            }
            if (logs[i].emitter != address(_vault)) continue;
            if (topic == IQueuedVault.Committed.selector) {
                (uint256 assets, uint256 shares, int256 order,) =
                    abi.decode(logs[i].data, (uint256, uint256, int256, uint256));
                _sent = Sent(true, assets, shares, order, ILeveragedVault.Trigger(uint256(logs[i].topics[2])));
            } else if (topic == IQueuedVault.Settled.selector) {
                told.isSettled = true;
                (,, told.minted, told.paid, told.tipShares) =
                    abi.decode(logs[i].data, (uint256, int256, uint256, uint256, uint256));
            } else if (topic == ILeveragedVault.Booked.selector) {
                told.isBooked = true;
            } else if (topic == ILeveragedVault.Rebalanced.selector) {
                told.isRebalanced = true;
                (,,,,,, told.tipShares) =
                    abi.decode(logs[i].data, (int256, uint256, int256, int256, uint256, int256, uint256));
            } else if (topic == IQueuedVault.OrderFailed.selector) {
                _sent.isInFlight = false;
                if (_sent.assets + _sent.shares > 0) _failedAt = block.timestamp;
            } else if (topic == IQueuedVault.CashCollected.selector) {
                (, uint256 missing) = abi.decode(logs[i].data, (uint256, uint256));
                bool isFlying = _venue.order().stage != IDelayedAdapter.Stage.NONE;
                if (missing > 0 && !isFlying && _isEmpty()) told.lost += missing;
            }
        }
        _lost += told.lost;
        if (isEnded && _sent.isInFlight) _count(told, size);
        if (_idle() >= 0) _isPartBack = false;
    }

    function _count(Told memory told, int256 size) private {
        _sent.isInFlight = false;
        uint256 unfilled = _sent.order == 0 ? 0 : LeverageMath.unfilled(size, _sent.order);
        uint256 assets = Batches.filled(_sent.assets, unfilled);
        told.shares = Batches.filled(_sent.shares, unfilled);
        vm.assertTrue(told.isSettled == (_sent.assets + _sent.shares > 0), "who was in flight is told");
        IVaultTerms.Fees memory fees = _terms.fees();
        uint256 mintFee = LeverageMath.feeUp(assets, fees.mint);
        uint256 burnFee = LeverageMath.feeUp(told.paid, fees.burn);
        told.brought = assets - mintFee;
        if (assets < _sent.assets) _isPartBack = true;
        _deposits -= assets;
        _redemptions -= told.shares;
        _payouts += told.paid - burnFee;
        _unclaimed += told.minted;
        _fees += mintFee + burnFee;
        ++_settlements;
    }

    /* THE RULES */

    /// @dev I-1, after each step.
    function _checkClaims() internal view {
        uint256 held = _asset.balanceOf(address(_queue));
        vm.assertEq(
            _token.balanceOf(address(_queue)), _redemptions + _unclaimed + _shareGifts, "I-1: the queue's shares"
        );
        if (_rig.isPriceGood()) {
            IPerpAdapter.Position memory p = _venue.position();
            int256 equity = LeverageMath.equity(p.cash + _idle() * int256(_rig.scale()), p.size, _rig.price());
            vm.assertEq(_vault.equity(), equity, "I-1: the queue holds what is idle and what is owed");
        }
        (uint256 now_, uint256 ever, uint256 payable_) = _claims();
        bool isShort = _vault.cashShort() > 0;
        uint256 slack = 6 * _settlements;
        vm.assertLe(now_ + payable_ + (isShort ? 0 : _vault.feesOwed()), held + slack, "I-1: claims are there");
        if (_lost > 0) return;
        vm.assertEq(_vault.feesOwed(), _fees, "E-4: fees");
        vm.assertTrue(ever >= _deposits && ever <= _deposits + slack, "I-1: deposits are somebody's");
        vm.assertLe(payable_, _payouts, "I-1: payouts");
        if (!isShort) vm.assertGe(payable_ + slack, _payouts, "I-1: payouts are somebody's");
    }

    /// @dev Deposits that can be taken back now, all that have not ended, and payouts.
    function _claims() private view returns (uint256 now_, uint256 ever, uint256 payable_) {
        bool isShort = _vault.cashShort() > 0;
        (uint256 flying,) = _queue.inFlight();
        for (uint256 i = 0; i < _actors.length; ++i) {
            address a = _actors[i];
            payable_ += _queue.maxWithdraw(a);
            uint256 back = _queue.refundableDepositRequest(0, a);
            for (uint256 j = 0; j < 2; ++j) {
                uint256 id = _in[a][j];
                if (id == 0) continue;
                uint256 waits = _queue.pendingDepositRequest(id, a);
                ever += waits;
                if (flying == 0) now_ += isShort ? 0 : waits;
                back += _queue.refundableDepositRequest(id, a);
            }
            ever += back;
            if (!isShort) now_ += back;
        }
    }

    /// @dev I-2: settled at `price`, from `a`. Without a rebalance nobody's nav but rounding. What came to the account
    /// `afterFill` is theirs who hold shares now: leavers have the price of the fill.
    function _checkSettled(Books memory a, Told memory told, uint256 price, int256 size, int256 afterFill)
        internal
        view
    {
        if (a.supply == 0 || a.equity <= 0) return;
        Books memory b = _booksAt(price);
        if (b.supply == 0) return;
        b.equity -= afterFill;
        b.nav = LeverageMath.nav(b.equity, b.supply);
        uint256 away = a.nav > WAD ? a.nav - WAD : WAD - a.nav;
        uint256 slack = VIRTUAL * away / (b.supply + VIRTUAL) + (2 * _rig.scale() + price / WAD + 4 + 4 * a.nav / WAD)
            * WAD / (b.supply + VIRTUAL) + 2;
        uint256 cost = (told.cost > 0 ? uint256(told.cost) : 0) + told.tipShares * a.nav / WAD;
        if (_sent.trigger == ILeveragedVault.Trigger.NONE) {
            if (told.cost >= 0) vm.assertLe(b.nav, a.nav + slack, "I-2: nobody else gains");
            // What the order costs beyond all that its party has is the others' loss.
            bool isEntrants = (size > 0) == (_rig.target() > 0);
            cost = Math.saturatingSub(cost, isEntrants ? told.brought * _rig.scale() : told.shares * a.nav / WAD);
            vm.assertGe(b.nav + slack + cost * WAD / (b.supply + VIRTUAL), a.nav, "I-2: nobody else pays");
        } else {
            vm.assertGe(
                b.nav + slack + cost * WAD / (b.supply + VIRTUAL),
                a.nav,
                "E-3: the fund bears a rebalance's cost at the most"
            );
        }
        if (b.equity <= 0 || _sent.trigger != ILeveragedVault.Trigger.NONE) return;
        vm.assertTrue(b.size == 0 || (b.size > 0) == (_rig.target() > 0), "never the other side");
    }

    /// @dev I-7: the fee since the last booking is the integral of the rate over it, by our own clock.
    function _checkFee(uint256 held, uint256 supplyBefore, Told memory told) internal {
        (,, uint256 integral,) = _terms.rates();
        vm.assertApproxEqAbs(integral, _integral, 20, "I-7: the integral of the rate");
        uint256 fee = _token.balanceOf(_rig.treasury()) - held;
        if (!told.isBooked) return vm.assertEq(fee, 0, "I-7: no fee without a booking");
        uint256 expected = LeverageMath.managementShares(supplyBefore, _integral - _bookedByUs);
        vm.assertApproxEqAbs(fee, expected, 30 * supplyBefore / WAD + 1, "I-7: the fee for the time since the last one");
        (_booked, _bookedByUs) = (integral, _integral);
    }

    /// @dev I-10: the lines add up to the last wei.
    function _checkLedger() internal view {
        if (!_rig.isPriceGood()) return;
        (ILeveragedVault.Attribution memory lines, uint256 nav) = _vault.attribution();
        int256 sum = int256(lines.price) + lines.funding + lines.venueFee + lines.slippage + lines.managementFee
            + lines.rounding;
        vm.assertEq(sum, int256(nav) - int256(WAD), "I-10: the lines add up");
        vm.assertEq(nav, _vault.nav(), "I-10: the nav that anybody sees");
    }

    function _isEmpty() internal view returns (bool) {
        IPerpAdapter.Position memory p = _venue.position();
        return p.size == 0 && p.cash < int256(_rig.scale());
    }
}
