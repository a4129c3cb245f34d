// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SignedMath} from "@openzeppelin/contracts/utils/math/SignedMath.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IDelayedAdapter} from "interfaces/IDelayedAdapter.sol";
import {IPerpAdapter} from "interfaces/IPerpAdapter.sol";
import {IQueuedVault} from "interfaces/IQueuedVault.sol";
import {IRequestQueue} from "interfaces/IRequestQueue.sol";
import {IVaultTerms} from "interfaces/IVaultTerms.sol";
import {LeveragedVault} from "contracts/LeveragedVault.sol";
import {Batches} from "contracts/libraries/Batches.sol";
import {LeverageMath, WAD} from "contracts/libraries/LeverageMath.sol";

/// @title A leveraged vault on a venue that fills later.
/// @notice Requests collect, one order goes out for all of them, and everybody is booked at its fill: who enters or leaves
/// pays for the part of the order that is his, and nav of those who did neither does not move (E-3).
/// @custom:stop As LeveragedVault. Requests that are not in flight can be taken back at any time.
contract QueuedVault is LeveragedVault, IQueuedVault {
    using LeverageMath for int256;
    using LeverageMath for LeverageMath.Sizes;
    using SafeCast for int256;
    using SafeCast for uint256;

    /// @dev An order on its way: what each party asked for, and what its sender earns when it fills.
    /// @param time When it was sent; after a failure, from when a batch may go without a rebalance again.
    /// @param isReturning Whether deposits of an order that failed wait for the venue to return their collateral.
    struct Flight {
        int104 enter;
        int104 leave;
        uint32 time;
        Trigger trigger;
        bool hasDeposits;
        int104 rebalance;
        uint64 tip;
        uint64 tolerance;
        bool isInFlight;
        bool hasRedemptions;
        bool isReturning;
    }

    /// @dev What a commit is about to send: batches as requested, `brought` net of the mint fee, WAD.
    struct Plan {
        LeverageMath.Sizes sizes;
        int256 order;
        uint256 worst;
        uint256 assets;
        uint256 brought;
        uint256 shares;
        uint256 openedAt;
        uint256 value;
        uint256 tip;
        uint64 tolerance;
        Trigger trigger;
    }

    /// @dev What a settlement does: batches as requested, as far as they were filled; `brought` and `paid` in assets, net of
    /// the mint fee and before the burn fee; the tips, WAD, and what of cost and fees the fund bears, WAD.
    struct Settlement {
        uint256 assets;
        uint256 brought;
        uint256 shares;
        uint256 minted;
        uint256 paid;
        uint256 tips;
        uint256 tipShares;
        int256 cost;
        uint256 fees;
        uint256 unfilled;
    }

    /// @dev Collateral here that is the holders', in assets, less what is owed to others. It is below zero by `out`,
    /// collateral of deposits that is at the venue with an order or after one that failed, and by payouts that the venue
    /// holds back.
    struct Purse {
        int128 idle;
        uint128 out;
    }

    /// @dev What is kept here for leavers beyond what they would get at the commit's price: the price may move until the fill.
    int256 private constant RESERVE = 1.02e18;

    /// @dev A tenth of equity may lie here as cash, for those who leave next.
    int256 private constant SPARE = 10;
    /// @dev What a tip may take of what comes and goes: a hundredth.
    uint256 private constant USER_TIP_SHARE = 100;
    /// @dev Seconds for which batches wait after an order failed, unless a rebalance goes: a stranger who cancels at the venue
    /// may be paid for it.
    uint256 private constant RETRY_DELAY = 2 minutes;
    /// @dev WAD of notional below which the venue's rounding decides about a price.
    uint256 private constant DUST = 1e12;

    /// @inheritdoc IQueuedVault
    IRequestQueue public immutable queue;
    Flight private _flight;
    /// @dev Who sent the last order for a tip.
    address private _sender;
    Purse private _purse;

    constructor(Config memory config, IRequestQueue queue_) LeveragedVault(config, address(queue_)) {
        queue = queue_;
        require(queue_.asset() == _asset, WrongAsset(queue_.asset(), _asset));
        queue_.bind(token);
    }

    /* VIEWS */

    /// @inheritdoc IQueuedVault
    function cashShort() public view returns (uint256) {
        int256 spare = int256(_purse.idle) + int256(uint256(_purse.out));
        return spare < 0 ? uint256(-spare) : 0;
    }

    /// @inheritdoc IQueuedVault
    /// @dev E-7, on what can be read cheaply.
    function roomFor(uint256 assets) external view returns (uint256 today, uint256 beforeCap, uint256 least) {
        uint256 pausedUntil;
        (today, beforeCap, least, pausedUntil) = _room(assets);
        require(block.timestamp >= pausedUntil, MintsPaused(pausedUntil));
        require(!_status.isRuined, VaultRuined());
    }

    /* COMMIT */

    /// @inheritdoc IQueuedVault
    function commit() external payable nonReentrant returns (Trigger, int256) {
        return _commit(true);
    }

    /// @inheritdoc IQueuedVault
    function commitExits() external payable nonReentrant returns (Trigger, int256) {
        return _commit(false);
    }

    function _commit(bool mayRaise) private returns (Trigger, int256) {
        require(!_flight.isInFlight, OrderPending(_flight.time));
        _collectCash();
        (uint256 price, bool isGood, bool isNear) = _prices();
        State memory s = _value(_position(), price);
        if (s.supply > 0 && !_status.isRuined) {
            require(!_isGone(s.size), PositionGone(s.size, _mark.size));
            require(s.equity > 0, Underwater(s.equity));
        }
        Plan memory plan = _plan(s, isGood, mayRaise && isNear);

        emit Committed({
            caller: msg.sender,
            trigger: plan.trigger,
            assets: plan.assets,
            shares: plan.shares,
            sizeDelta: plan.order,
            price: price
        });
        _flight = Flight({
            enter: plan.sizes.enter.toInt104(),
            leave: plan.sizes.leave.toInt104(),
            time: uint32(block.timestamp),
            trigger: plan.trigger,
            rebalance: plan.sizes.rebalance.toInt104(),
            tip: plan.tip.toUint64(),
            tolerance: plan.tolerance,
            isInFlight: true,
            hasDeposits: plan.assets > 0,
            hasRedemptions: plan.shares > 0,
            isReturning: _flight.isReturning
        });
        if (plan.tip > 0) _sender = msg.sender;
        if (plan.order == 0) {
            // Only where there is nothing to trade: what is left is cash, and no price is needed to share it.
            queue.commit(plan.assets > 0, plan.shares > 0, 0, address(adapter));
            IDelayedAdapter.Outcome memory o;
            (o.before, o.price) = (_position(), price);
            _settle(o);
            require(msg.value == 0, IDelayedAdapter.WrongFee(msg.value, 0));
        } else {
            (uint256 margin, uint256 release) = _divide(s, plan);
            if (plan.assets + plan.shares + margin > 0) {
                queue.commit(plan.assets > 0, plan.shares > 0, margin, address(adapter));
            }
            _venue().submit{value: msg.value}(plan.order, margin, release, plan.worst, msg.sender);
        }
        return (plan.trigger, plan.order);
    }

    /// @dev E-3. What cannot go now waits: deposits while they are stopped, the venue's price is off, or the order would fill
    /// too far from the index for their sake; then a rebalance. Leavers wait for nobody.
    function _plan(State memory s, bool isGood, bool mayRaise) private view returns (Plan memory plan) {
        IVaultTerms.Ruling memory r = _rule(s, msg.sender);
        mayRaise = mayRaise && !_status.isRuined && block.timestamp >= r.pausedUntil;
        int256 wanted;
        _take(plan, s, mayRaise && (s.supply == 0 || uint256(_leverage(s).abs()) <= r.bandMax));
        if (isGood && s.supply > 0 && r.trigger != Trigger.NONE) wanted = _wanted(r, s, plan, mayRaise);
        while (true) {
            plan.trigger = wanted == 0 ? Trigger.NONE : r.trigger;
            _size(plan, s, wanted, plan.brought);
            // Without a position there is nothing to trade. The venue rounds what is worth next to nothing: no limit holds.
            if (_notional(plan.order, s.price) < DUST) break;
            // Without an index price who leaves has the venue's for a measure.
            uint256 index = isGood ? s.price : adapter.price();
            IPerpAdapter.Fill memory fill = _venue().quoteAt(plan.order, index);
            require(fill.size != 0, NothingFilled(plan.order));
            plan.worst = LeverageMath.worstPrice(index, plan.order, _limit(r, plan));
            uint256 quoted = uint256((fill.cash + int256(fill.fee)).abs()) * WAD / uint256(fill.size.abs());
            bool isBuy = plan.order > 0;
            if (isBuy ? quoted <= plan.worst : quoted >= plan.worst) {
                _resize(plan, s, wanted, fill);
                // Where next to all cross inside, the cost may turn the rest round: then it stays as it was.
                if ((plan.order > 0) != isBuy) _size(plan, s, wanted, plan.brought);
                break;
            }
            bool isForEntrants = plan.sizes.enter.along(plan.order) > 0;
            bool isMore = plan.shares > 0 || (isForEntrants && wanted != 0);
            require(isMore && (isForEntrants || wanted != 0), PriceBeyondLimit(quoted, plan.worst));
            if (isForEntrants) _take(plan, s, false);
            else wanted = 0;
        }
        if (plan.sizes.rebalance == 0) plan.trigger = Trigger.NONE;
        plan.value = _turnover(s, plan.assets * _scale, plan.shares);
        _requireWorth(plan, s, r.minNotional);
        plan.tolerance = uint64(r.tolerance);
        plan.tip = _tip(r, s, plan.trigger, plan.value, _lateness(r, plan));
    }

    /// @dev Which batches go.
    function _take(Plan memory plan, State memory s, bool isEntering) private view {
        uint256 since;
        (plan.assets, plan.shares, plan.openedAt, since) = queue.next();
        // What the terms charge matters to those who come and go alone.
        if (plan.assets + plan.shares > 0 && plan.brought == 0) _charge(s);
        if (!isEntering) (plan.assets, plan.openedAt) = (0, 0);
        if (cashShort() > 0) (plan.shares, since) = (0, 0);
        plan.openedAt = _earlier(plan.openedAt, since);
        plan.brought = (plan.assets - LeverageMath.feeUp(plan.assets, s.mintFee)) * _scale;
    }

    /// @dev What each party adds to the order: leavers close their part of the position as it is, those who stay make their
    /// part of the rebalance, and entrants join at the leverage after it.
    function _size(Plan memory plan, State memory s, int256 wanted, uint256 brought) private view {
        LeverageMath.Sizes memory z = plan.sizes;
        (z.enter, z.leave, z.rebalance) = (0, 0, wanted);
        if (s.supply == 0) {
            if (brought > 0) z.enter = LeverageMath.sizeToLeverage(target, brought.toInt256(), s.size, s.price);
        } else if (s.equity > 0) {
            z.enter = LeverageMath.joining(s.size + wanted, brought, s.equity);
            z.leave = -LeverageMath.portionDown(s.size, plan.shares, s.supply);
            z.rebalance -= LeverageMath.portionDown(wanted, plan.shares, s.supply);
        }
        plan.order = z.order();
        if (plan.order != 0 || s.size == 0 || s.equity <= 0) return;
        // Where all cross inside, a wei goes to the venue for the sake of its price: a lagging index is worth nothing.
        plan.order = (z.enter == 0 ? s.size < 0 : z.enter > 0) ? int256(1) : -1;
        if (z.enter == 0) z.leave += plan.order;
        else z.enter += plan.order;
    }

    /// @dev Sizes again: on what deposits bring, and what the fund has, after their parts of the cost.
    function _resize(Plan memory plan, State memory s, int256 wanted, IPerpAdapter.Fill memory fill) private view {
        int256 cost = _cost(fill, s.price);
        if (cost <= 0 || (plan.assets == 0 && wanted == 0)) return;
        LeverageMath.Sizes memory z = plan.sizes;
        uint256 entrants = LeverageMath.costShare(uint256(cost), z.enter, z);
        uint256 funds = LeverageMath.costShare(uint256(cost), z.rebalance, z);
        if (z.rebalance != 0) {
            wanted = wanted * LeverageMath.sizeNetOfCost(z.rebalance, s.price, target, funds.toInt256()) / z.rebalance;
        }
        _size(plan, s, wanted, Math.saturatingSub(plan.brought, entrants));
    }

    /// @dev E-6: the fund's own trade, cut to a chunk; none where it may not be made or is not worth making.
    function _wanted(IVaultTerms.Ruling memory r, State memory s, Plan memory plan, bool mayRaise)
        private
        view
        returns (int256 size)
    {
        size = LeverageMath.sizeToLeverage(target, s.equity, s.size, s.price);
        size = LeverageMath.capped(size, s.price, r.maxNotional);
        if ((size > 0) == (target > 0) && !mayRaise) return 0;
        // What tips and fees leave of a fund that everybody has left is no size for who comes next to join at.
        bool isBegun = s.size == 0 && plan.assets > 0;
        if (r.trigger != Trigger.EMERGENCY && !isBegun && _notional(size, s.price) < r.minNotional) return 0;
    }

    /// @dev How far from the index the order may fill: as a rebalance where it is one, as an emergency where people leave.
    function _limit(IVaultTerms.Ruling memory r, Plan memory plan) private view returns (uint256) {
        if (plan.trigger != Trigger.NONE) return r.slippage;
        return (plan.order > 0) == (target > 0) ? r.maxSlippage : r.emergencySlippage;
    }

    /// @dev An order costs something however small it is: dust waits for company, for a rebalance, or is everything there is.
    function _requireWorth(Plan memory plan, State memory s, uint256 minNotional) private view {
        if (plan.trigger != Trigger.NONE) return;
        require(plan.assets > 0 || plan.shares > 0, NothingDue(_leverage(s), target));
        if (plan.shares == s.supply || plan.order == 0) return;
        require(block.timestamp >= _flight.time, RetryTooEarly(_flight.time));
        uint256 notional = plan.value * uint256(target.abs()) / WAD;
        require(notional >= minNotional, BatchTooSmall(notional, minNotional));
    }

    /// @dev What comes and goes, WAD.
    function _turnover(State memory s, uint256 brought, uint256 shares) private pure returns (uint256) {
        return shares == 0 || s.equity <= 0 ? brought : brought + uint256(s.equity) * shares / s.supply;
    }

    /// @dev What goes with the order as margin, and what the venue should set free: deposits pay redemptions directly, and
    /// what the venue still holds back.
    function _divide(State memory s, Plan memory plan) private returns (uint256 margin, uint256 release) {
        Purse memory purse = _purse;
        uint256 own = purse.idle > 0 ? uint256(int256(purse.idle)) : 0;
        uint256 have = plan.brought / _scale + own;
        uint256 need = purse.idle < 0 ? uint256(-int256(purse.idle)) : 0;
        if (plan.shares > 0 && s.equity > 0) {
            int256 part = LeverageMath.portionDown(s.equity, plan.shares, s.supply);
            // Half of what the others have stays margin, however few they are.
            need += _floor(SignedMath.min(part * RESERVE / int256(WAD), (part + s.equity) / 2));
        }
        (margin, release) = (Math.saturatingSub(have, need), Math.saturatingSub(need, have));
        // Moving collateral there and back costs more than a user's whole request.
        if (int256(margin * _scale) <= (s.equity + plan.brought.toInt256()) / SPARE) margin = 0;
        purse.idle -= _signed(margin);
        purse.out += uint128(Math.saturatingSub(margin, own));
        _purse = purse;
    }

    /* SETTLE */

    /// @inheritdoc IQueuedVault
    function settle(bytes[] calldata proof) external payable nonReentrant returns (int256) {
        IDelayedAdapter.Outcome memory o = _venue().settle{value: msg.value}(proof, msg.sender);
        if (o.fill.size == 0) {
            _fail(o.before.size);
        } else {
            o.before.cash += _purse.idle * int256(_scale);
            _settle(o);
        }
        return o.fill.size;
    }

    /// @inheritdoc IQueuedVault
    function collectCash() external nonReentrant {
        _collectCash();
    }

    /// @dev E-3: everybody at the price of the fill. `o.before` is the holders' part.
    function _settle(IDelayedAdapter.Outcome memory o) private {
        Flight memory f = _flight;
        _flight.isInFlight = false;
        (State memory s, Attribution memory lines) = _accrue(o.before, o.price);
        Settlement memory t = _share(s, f, o);

        bool isFirst = s.supply == 0;
        s.supply = s.supply + t.minted + t.tipShares - t.shares;
        // What lay in the empty vault is a gift to whoever comes first.
        if (isFirst && s.supply > 0) lines.funding = _perShare(s.equity, s.supply).toInt128();
        s.size += o.fill.size;
        s.cash += o.fill.cash + (t.brought.toInt256() - t.paid.toInt256()) * int256(_scale);
        int256 before = LeverageMath.leverage(o.before.size, o.price, s.equity);
        s.equity = LeverageMath.equity(s.cash, s.size, o.price);
        lines.venueFee -= _perShare(t.fees.toInt256(), s.supply).toInt128();
        lines.slippage -= _perShare(t.cost - t.fees.toInt256(), s.supply).toInt128();
        uint256 burnFee = LeverageMath.feeUp(t.paid, s.burnFee);
        feesOwed += t.assets - t.brought + burnFee;
        _purse.idle += _signed(t.brought) - _signed(t.paid);
        if (f.hasDeposits) _purse.out = 0;
        if (t.brought > 0) _countMinted(t.brought);
        if (f.trigger != Trigger.NONE) _noteRebalance(s, f, o, t, before);
        else if (isFirst) _rebalancing = Rebalancing(o.price.toUint128(), uint40(block.timestamp), Trigger.NONE, false);
        _book(s, lines);
        if (f.hasDeposits || f.hasRedemptions) {
            _tellQueue(f, t, burnFee);
            emit Settled({
                caller: msg.sender,
                price: o.price,
                size: o.fill.size,
                sharesMinted: t.minted,
                assetsPaid: t.paid,
                tipShares: t.tipShares
            });
            if (t.shares > 0) token.burn(address(queue), address(queue), t.shares);
            if (t.minted > 0) token.mint(address(queue), t.minted);
        }
        _payTips(f, t);
        _collectCash();
    }

    /// @dev Who gets and bears what, of as much as was filled. An improvement is the leavers' alone to take.
    function _share(State memory s, Flight memory f, IDelayedAdapter.Outcome memory o)
        private
        view
        returns (Settlement memory t)
    {
        if (f.hasDeposits || f.hasRedemptions) (t.assets, t.shares) = queue.inFlight();
        if (!f.hasDeposits) t.assets = 0;
        LeverageMath.Sizes memory z = LeverageMath.Sizes(f.enter, f.leave, f.rebalance);
        t.unfilled = LeverageMath.unfilled(o.fill.size, z.order());
        (t.assets, t.shares) = (Batches.filled(t.assets, t.unfilled), Batches.filled(t.shares, t.unfilled));
        t.brought = t.assets - LeverageMath.feeUp(t.assets, s.mintFee);
        uint256 forEntrants;
        int256 forLeavers;
        if (o.fill.size != 0) {
            t.tips = f.tip + (o.reward > 0 ? o.reward : _lateTip(s, f, t));
            // Nobody is to pay more for the order than it is worth to him: the rest would be the others'.
            if (f.trigger == Trigger.NONE) t.tips = Math.min(t.tips, _turnover(s, t.brought * _scale, t.shares) / 4);
            t.cost = _cost(o.fill, o.price);
            uint256 cost = t.tips + (t.cost > 0 ? uint256(t.cost) : 0);
            forEntrants = LeverageMath.costShare(cost, z.enter, z);
            forLeavers = LeverageMath.costShare(cost, z.leave, z).toInt256();
            // Who leaves gets what the sale brought; what an entrance gains stays with the fund (E-2).
            if (t.cost < 0) forLeavers -= LeverageMath.gainShare(uint256(-t.cost), z.leave, z).toInt256();
            t.fees = o.fill.fee + t.tips;
            t.fees -= Math.min(
                t.fees, LeverageMath.costShare(t.fees, z.enter, z) + LeverageMath.costShare(t.fees, z.leave, z)
            );
            t.cost += (t.tips).toInt256() - forEntrants.toInt256() - forLeavers;
        }
        // Holders with less than nothing are left with next to nothing: who enters does not owe for them.
        int256 equity_ = s.equity > 0 ? s.equity : int256(0);
        t.minted = LeverageMath.toSharesDown(Math.saturatingSub(t.brought * _scale, forEntrants), equity_, s.supply);
        t.minted = Math.min(t.minted, type(uint104).max);
        if (s.supply + t.minted > t.shares) {
            if (t.shares > 0) {
                t.paid = _floor(LeverageMath.portionDown(equity_, t.shares, s.supply) - forLeavers);
            }
            t.tipShares = LeverageMath.toSharesDown(t.tips, equity_, s.supply);
        } else if (t.shares > 0) {
            // Where nobody stays, whatever is left is the leavers', and shares for tips would be worth nothing.
            t.paid = _floor(LeverageMath.equity(s.cash + o.fill.cash, s.size + o.fill.size, s.price));
        }
    }

    function _tellQueue(Flight memory f, Settlement memory t, uint256 burnFee) private {
        (uint256 today, uint256 beforeCap, uint256 least, uint256 pausedUntil) = _room(0);
        bool isOpen = block.timestamp >= pausedUntil && !_status.isRuined;
        uint256 room = isOpen ? Math.min(today, beforeCap) : 0;
        queue.settle(f.hasDeposits, t.minted, t.paid - burnFee, t.unfilled, room, least);
    }

    function _noteRebalance(
        State memory s,
        Flight memory f,
        IDelayedAdapter.Outcome memory o,
        Settlement memory t,
        int256 before
    ) private {
        int256 reached = _leverage(s);
        bool isDone = uint256((reached - target).abs()) <= f.tolerance;
        _rebalancing = Rebalancing(
            o.price.toUint128(), uint40(block.timestamp), isDone ? Trigger.NONE : f.trigger, f.rebalance > 0
        );
        emit Rebalanced({
            trigger: f.trigger,
            caller: msg.sender,
            size: f.rebalance,
            price: o.price,
            leverageBefore: before,
            leverageAfter: reached,
            fee: t.fees,
            slippage: t.cost - t.fees.toInt256(),
            tipShares: t.tipShares
        });
    }

    function _payTips(Flight memory f, Settlement memory t) private {
        if (t.tipShares == 0) return;
        address sender = f.tip > 0 ? _sender : msg.sender;
        uint256 first = sender == msg.sender ? 0 : t.tipShares * Math.min(f.tip, t.tips) / t.tips;
        if (first > 0) token.mint(sender, first);
        token.mint(msg.sender, t.tipShares - first);
    }

    /// @dev The order is gone and nothing changed: whoever chose so gets a refund, the others wait for the next order.
    /// Collateral of deposits comes back first.
    function _fail(int256 size) private {
        Flight storage f = _flight;
        f.isInFlight = false;
        if (f.hasDeposits) f.isReturning = true;
        if (f.hasDeposits || f.hasRedemptions) f.time = uint32(block.timestamp + RETRY_DELAY);
        emit OrderFailed({caller: msg.sender, size: size});
        if (f.hasRedemptions) queue.fail(false);
        if (_isGone(size)) {
            (State memory s, Attribution memory lines) = _accrue(_position(), _mark.price);
            _book(s, lines);
        }
        _collectCash();
    }

    /// @dev While no order is there, fetch what the venue holds of what is owed to others: collateral of deposits whose order failed, then payouts.
    /// What it will never have is written off in the same order.
    function _collectCash() private {
        if (_flight.isInFlight) return;
        Purse memory purse = _purse;
        uint256 missing = purse.idle < 0 ? uint256(-int256(purse.idle)) : 0;
        if (missing > 0) {
            uint256 got = _withdraw(missing);
            missing -= got;
            purse.idle += _signed(got);
            purse.out = uint128(Math.min(Math.saturatingSub(purse.out, got), missing));
            emit CashCollected({assets: got, cashShort: missing});
            if (missing > 0 && _isEmpty()) {
                if (_flight.isReturning && purse.out > 0) {
                    _flight.isReturning = false;
                    queue.refund(purse.out);
                    missing -= purse.out;
                    purse.idle += int128(purse.out);
                    purse.out = 0;
                }
                feesOwed -= Math.min(feesOwed, missing - queue.writeOff(missing));
                purse.idle += _signed(missing);
            }
            _purse = purse;
        } else if (purse.out > 0) {
            _purse.out = purse.out = 0;
        }
        if (_flight.isReturning && purse.out == 0) {
            _flight.isReturning = false;
            queue.fail(true);
        }
    }

    /// @dev Whether nothing will ever come from the venue.
    function _isEmpty() private view returns (bool) {
        IPerpAdapter.Position memory p = adapter.position();
        return p.size == 0 && _floor(p.cash) == 0;
    }

    /// @dev As much of `assets` as the venue pays now.
    function _withdraw(uint256 assets) private returns (uint256) {
        if (assets == 0) return 0;
        try adapter.withdraw(assets, address(queue)) {
            return assets;
        } catch (bytes memory reason) {
            if (bytes4(reason) != IPerpAdapter.WithdrawalShort.selector) return 0;
            uint256 got;
            assembly ("memory-safe") {
                got := mload(add(reason, 0x24))
            }
            if (got == 0 || got >= assets) return 0;
            try adapter.withdraw(got, address(queue)) {
                return got;
            } catch {
                return 0;
            }
        }
    }

    /* INTERNALS */

    /// @dev The account at the venue and what lies here, without what belongs to others.
    function _position() internal view override returns (IPerpAdapter.Position memory p) {
        p = adapter.position();
        p.cash += _purse.idle * int256(_scale);
    }

    /// @dev The index price, whether it can be used, and whether the venue confirms it (E-1). Who leaves needs none.
    function _prices() private view returns (uint256 price, bool isGood, bool isNear) {
        if (_status.isRuined) return (_mark.price, false, false);
        try oracle.priceNear(adapter.price()) returns (uint256 near) {
            return (near, true, true);
        } catch {
            try oracle.price() returns (uint256 good) {
                return (good, true, false);
            } catch {
                return (_mark.price, false, false);
            }
        }
    }

    /// @dev E-7, from the last booking: how much more may come in today and before the total cap, beside `assets`.
    function _room(uint256 assets)
        private
        view
        returns (uint256 today, uint256 beforeCap, uint256 least, uint256 pausedUntil)
    {
        Mark memory m = _mark;
        uint256 held = _floor(LeverageMath.equity(m.cash, m.size, m.price));
        return terms.room(mintedToday() + assets, held + assets, _scale);
    }

    /// @dev Seconds that people have waited, or a scheduled rebalance is late.
    function _lateness(IVaultTerms.Ruling memory r, Plan memory plan) private view returns (uint256 late) {
        if (plan.openedAt != 0) late = block.timestamp - plan.openedAt;
        if (plan.trigger == Trigger.SCHEDULED) late = Math.max(late, r.lateness);
    }

    /// @dev At most a hundredth of what comes and goes, and a ten-thousandth of a fund that is rebalanced.
    function _tip(IVaultTerms.Ruling memory r, State memory s, Trigger trigger, uint256 value, uint256 late)
        private
        pure
        returns (uint256)
    {
        uint256 most = value / USER_TIP_SHARE;
        if (trigger != Trigger.NONE && s.equity > 0) most += uint256(s.equity) / TIP_SHARE;
        return Math.min(LeverageMath.tip(late, r.tipRate, r.tipCap), most);
    }

    /// @dev For who notes what somebody else has executed.
    function _lateTip(State memory s, Flight memory f, Settlement memory t) private view returns (uint256) {
        uint256 value = _turnover(s, t.brought * _scale, t.shares);
        return _tip(_rule(s, msg.sender), s, f.trigger, value, block.timestamp - f.time);
    }

    function _notional(int256 size, uint256 price) private pure returns (uint256) {
        return uint256(LeverageMath.notional(size, price).abs());
    }

    function _earlier(uint256 a, uint256 b) private pure returns (uint256) {
        return a == 0 || (b != 0 && b < a) ? b : a;
    }

    function _signed(uint256 assets) private pure returns (int128) {
        return assets.toInt256().toInt128();
    }

    function _venue() private view returns (IDelayedAdapter) {
        return IDelayedAdapter(address(adapter));
    }

    function _ruin(int256 left, int256 size) internal override {
        super._ruin(left, size);
        queue.close();
    }

    function _pay(address receiver, uint256 assets) internal override {
        uint256 missing = cashShort();
        require(missing == 0, CashInTransit(missing));
        queue.pay(receiver, assets);
    }
}
