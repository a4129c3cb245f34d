// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC165} from "@openzeppelin/contracts/utils/introspection/IERC165.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IERC7575} from "interfaces/IERC7575.sol";
import {IInstantAdapter} from "interfaces/IInstantAdapter.sol";
import {IInstantVault} from "interfaces/IInstantVault.sol";
import {ILeveragedVault} from "interfaces/ILeveragedVault.sol";
import {IPerpAdapter} from "interfaces/IPerpAdapter.sol";
import {IVaultTerms} from "interfaces/IVaultTerms.sol";
import {LeveragedVault} from "contracts/LeveragedVault.sol";
import {LeverageMath, VIRTUAL, WAD} from "contracts/libraries/LeverageMath.sol";

/// @title A leveraged vault on a venue that fills in the same transaction.
/// @notice Whoever moves the fund pays for the move (E-2): an entrant gets shares for what is left of the deposit after
/// the actual fill, a leaver gets a share of the cash and the proceeds of the actual fill.
/// @custom:stop As LeveragedVault.
contract InstantVault is LeveragedVault, IInstantVault {
    using LeverageMath for int256;
    using SafeCast for int256;
    using SafeCast for uint256;
    using SafeERC20 for IERC20;

    /// @dev What an entrant brings and buys. In assets: `assets = fee + margin`.
    struct Entry {
        uint256 assets;
        uint256 fee;
        uint256 margin;
        int256 sizeDelta;
    }

    /// @dev Rounds that `withdraw` may take to find its shares; two or three are usual.
    uint256 private constant MAX_ROUNDS = 12;

    constructor(Config memory config) LeveragedVault(config, address(0)) {}

    /* VIEWS */

    /// @inheritdoc IERC7575
    function asset() external view returns (address) {
        return _asset;
    }

    /// @inheritdoc IERC7575
    function share() external view returns (address) {
        return address(token);
    }

    /// @inheritdoc IERC7575
    function totalAssets() external view nonReentrantView returns (uint256) {
        return _held(_now());
    }

    /// @inheritdoc IERC7575
    function convertToShares(uint256 assets) external view nonReentrantView returns (uint256) {
        State memory s = _now();
        return LeverageMath.toSharesDown(assets * _scale, s.equity, s.supply);
    }

    /// @inheritdoc IERC7575
    function convertToAssets(uint256 shares) external view nonReentrantView returns (uint256) {
        return shares * _nav(_now()) / WAD / _scale;
    }

    /// @notice ERC-165: ERC-7575 vaults answer 0x2f0a18c5.
    function supportsInterface(bytes4 id) external pure returns (bool) {
        return id == 0x2f0a18c5 || id == type(IERC165).interfaceId;
    }

    /// @inheritdoc IERC7575
    function previewDeposit(uint256 assets) public view nonReentrantView returns (uint256) {
        State memory s = _now();
        Entry memory e = _planDeposit(s, assets);
        return _sharesFor(s, e.margin, adapter.quote(e.sizeDelta));
    }

    /// @inheritdoc IERC7575
    function previewMint(uint256 shares) external view nonReentrantView returns (uint256) {
        return _planMint(_now(), shares).assets;
    }

    /// @inheritdoc IERC7575
    function previewWithdraw(uint256 assets) external view nonReentrantView returns (uint256) {
        State memory s = _atMark();
        return _sharesToPay(s, LeverageMath.grossUp(assets, s.burnFee));
    }

    /// @inheritdoc IERC7575
    function previewRedeem(uint256 shares) public view nonReentrantView returns (uint256) {
        State memory s = _atMark();
        if (shares == 0 || s.supply == 0) return 0;
        uint256 paid = _floor(_proceeds(s, shares));
        return paid - LeverageMath.feeUp(paid, s.burnFee);
    }

    /// @inheritdoc IERC7575
    /// @dev Zero while minting is stopped for any reason, a bad price among them.
    function maxDeposit(address) public view returns (uint256) {
        try this.room() returns (uint256 assets) {
            return assets;
        } catch {
            return 0;
        }
    }

    /// @inheritdoc IERC7575
    function maxMint(address receiver) external view returns (uint256) {
        try this.previewDeposit(maxDeposit(receiver)) returns (uint256 shares) {
            return shares;
        } catch {
            return 0;
        }
    }

    /// @inheritdoc IERC7575
    function maxWithdraw(address owner) external view returns (uint256) {
        try this.previewRedeem(token.balanceOf(owner)) returns (uint256 assets) {
            return assets;
        } catch {
            return 0;
        }
    }

    /// @inheritdoc IERC7575
    function maxRedeem(address owner) external view returns (uint256) {
        return token.balanceOf(owner);
    }

    /// @notice Largest deposit that the caps allow now, in assets; reverts with the reason when none is allowed.
    function room() external view nonReentrantView returns (uint256) {
        State memory s = _value(_position(), oracle.priceNear(adapter.price()));
        _charge(s);
        (uint256 today, uint256 beforeCap) = _requireOpen(s);
        return Math.min(today, beforeCap);
    }

    /* ENTER AND LEAVE */

    /// @inheritdoc IERC7575
    function deposit(uint256 assets, address receiver) external returns (uint256 shares) {
        (, shares) = _enter(assets, 0, receiver);
    }

    /// @inheritdoc IInstantVault
    function deposit(uint256 assets, address receiver, uint256 minShares, uint256 deadline)
        external
        returns (uint256 shares)
    {
        _requireBefore(deadline);
        (, shares) = _enter(assets, 0, receiver);
        require(shares >= minShares, TooFewShares(shares, minShares));
    }

    /// @inheritdoc IERC7575
    function mint(uint256 shares, address receiver) external returns (uint256 assets) {
        (assets,) = _enter(0, shares, receiver);
    }

    /// @inheritdoc IInstantVault
    function mint(uint256 shares, address receiver, uint256 maxAssets, uint256 deadline)
        external
        returns (uint256 assets)
    {
        _requireBefore(deadline);
        (assets,) = _enter(0, shares, receiver);
        require(assets <= maxAssets, TooManyAssets(assets, maxAssets));
    }

    /// @inheritdoc IERC7575
    function withdraw(uint256 assets, address receiver, address owner) external returns (uint256 shares) {
        (, shares) = _leave(assets, 0, receiver, owner);
    }

    /// @inheritdoc IInstantVault
    function withdraw(uint256 assets, address receiver, address owner, uint256 maxShares, uint256 deadline)
        external
        returns (uint256 shares)
    {
        _requireBefore(deadline);
        (, shares) = _leave(assets, 0, receiver, owner);
        require(shares <= maxShares, TooManyShares(shares, maxShares));
    }

    /// @inheritdoc IERC7575
    function redeem(uint256 shares, address receiver, address owner) external returns (uint256 assets) {
        (assets,) = _leave(0, shares, receiver, owner);
    }

    /// @inheritdoc IInstantVault
    function redeem(uint256 shares, address receiver, address owner, uint256 minAssets, uint256 deadline)
        external
        returns (uint256 assets)
    {
        _requireBefore(deadline);
        (assets,) = _leave(0, shares, receiver, owner);
        require(assets >= minAssets, TooFewAssets(assets, minAssets));
    }

    /// @dev E-2, enter. Exactly one of `assets` and `shares` is given, the other is 0.
    function _enter(uint256 assets, uint256 shares, address receiver) private nonReentrant returns (uint256, uint256) {
        require(assets > 0 || shares > 0, ZeroAmount());
        uint256 price = oracle.priceNear(adapter.price());
        (State memory s, Attribution memory lines) = _accrue(_position(), price);
        Entry memory e = _planEntry(s, assets, shares);

        _countMinted(e.margin);
        _pull(e);
        // The price limit binds the venue's price after the trade too, so it is near the index before and at the fill.
        IPerpAdapter.Fill memory fill =
            _trade(e.sizeDelta, e.margin, LeverageMath.worstPrice(price, e.sizeDelta, oracle.maxDeviation()));
        require(fill.size == e.sizeDelta, PartialFill(fill.size, e.sizeDelta));

        uint256 bought = _sharesFor(s, e.margin, fill);
        require(bought > 0 && bought >= shares, TooFewShares(bought, shares));
        if (shares == 0) shares = bought;

        if (s.supply == 0) {
            _rebalancing = Rebalancing(price.toUint128(), uint40(block.timestamp), Trigger.NONE, false);
            // What lay in the empty vault is a gift to whoever comes first.
            lines.funding = _perShare(s.equity, shares).toInt128();
        }
        // What the entrant brought beyond what the shares stand for: a better fill, or exposure that was not bought.
        int256 left = -s.equity - LeverageMath.toNetUp(shares, s.equity, s.supply).toInt256();
        s.supply += shares;
        s.size += fill.size;
        s.cash += int256(e.margin * _scale) + fill.cash;
        s.equity = LeverageMath.equity(s.cash, s.size, price);
        left += s.equity;
        if (left > 0) lines.slippage += _perShare(left, s.supply).toInt128();
        _book(s, lines);

        emit Deposit({sender: msg.sender, owner: receiver, assets: e.assets, shares: shares});
        token.mint(receiver, shares);
        return (e.assets, shares);
    }

    /// @dev E-2, leave. Exactly one of `assets` and `shares` is given, the other is 0. The index price cancels, so the
    /// last booked one serves the ledger and no oracle is asked (I-11).
    function _leave(uint256 assets, uint256 shares, address receiver, address owner)
        private
        nonReentrant
        returns (uint256, uint256)
    {
        require(assets > 0 || shares > 0, ZeroAmount());
        (State memory s, Attribution memory lines) = _accrue(_position(), _mark.price);
        uint256 paid = LeverageMath.grossUp(assets, s.burnFee);
        // The search may end some wei above the shares of a holder who withdraws all; what they yield is checked below.
        if (shares == 0) shares = Math.min(_sharesToPay(s, paid), token.balanceOf(owner));
        token.burn(msg.sender, owner, shares);

        (IPerpAdapter.Fill memory fill, uint256 proceeds) = _close(s, shares);
        if (assets == 0) {
            paid = proceeds;
            assets = paid - LeverageMath.feeUp(paid, s.burnFee);
            require(assets > 0 || _status.isRuined, ZeroAmount());
        } else {
            require(proceeds >= paid, TooFewAssets(proceeds, paid));
        }

        s.supply -= shares;
        s.size += fill.size;
        s.cash += fill.cash - int256(paid * _scale);
        s.equity = LeverageMath.equity(s.cash, s.size, s.price);
        feesOwed += paid - assets;
        _book(s, lines);

        emit Withdraw({sender: msg.sender, receiver: receiver, owner: owner, assets: assets, shares: shares});
        if (paid > 0) {
            adapter.withdraw(paid, address(this));
            _pay(receiver, assets);
        }
        return (assets, shares);
    }

    /* REBALANCE */

    /// @inheritdoc IInstantVault
    function rebalance() external nonReentrant returns (Trigger trigger, int256 size) {
        uint256 price = oracle.price();
        (State memory s, Attribution memory lines) = _accrue(_position(), price);
        require(!_status.isRuined, VaultRuined());
        require(s.supply == 0 || s.equity > 0, Underwater(s.equity));
        int256 before = _leverage(s);
        IVaultTerms.Ruling memory r = _rule(s, msg.sender);
        trigger = s.supply == 0 ? Trigger.NONE : r.trigger;
        require(trigger != Trigger.NONE, NothingDue(before, target));

        (int256 wanted, uint256 worst) = _planRebalance(r, s);
        IPerpAdapter.Fill memory fill = _trade(wanted, 0, worst);
        require(fill.size != 0, NothingFilled(wanted));

        s.size += fill.size;
        s.cash += fill.cash;
        s.equity = LeverageMath.equity(s.cash, s.size, price);
        int256 slip = _cost(fill, price) - int256(fill.fee);
        lines.venueFee -= _perShare(int256(fill.fee), s.supply).toInt128();
        lines.slippage -= _perShare(slip, s.supply).toInt128();
        uint256 tipShares = _tip(r, s, lines);

        int256 reached = _leverage(s);
        bool isDone = uint256((reached - target).abs()) <= r.tolerance;
        _rebalancing =
            Rebalancing(price.toUint128(), uint40(block.timestamp), isDone ? Trigger.NONE : trigger, wanted > 0);
        _book(s, lines);
        emit Rebalanced({
            trigger: trigger,
            caller: msg.sender,
            size: fill.size,
            price: price,
            leverageBefore: before,
            leverageAfter: reached,
            fee: fill.fee,
            slippage: slip,
            tipShares: tipShares
        });
        return (trigger, fill.size);
    }

    /// @dev E-6: to the target, net of its own cost, cut to a chunk. Raising leverage needs a price that the venue
    /// confirms and no pause (E-1, E-7). A fund too small to be worth a trade is still brought out of danger.
    function _planRebalance(IVaultTerms.Ruling memory r, State memory s)
        private
        view
        returns (int256 sizeDelta, uint256 worst)
    {
        sizeDelta = LeverageMath.sizeToLeverage(target, s.equity, s.size, s.price);
        sizeDelta = LeverageMath.capped(sizeDelta, s.price, r.maxNotional);
        if ((sizeDelta > 0) == (target > 0)) {
            require(block.timestamp >= r.pausedUntil, MintsPaused(r.pausedUntil));
            oracle.priceNear(adapter.price());
        }
        int256 cost = _cost(adapter.quote(sizeDelta), s.price);
        sizeDelta = LeverageMath.sizeNetOfCost(sizeDelta, s.price, target, cost);
        sizeDelta = LeverageMath.capped(sizeDelta, s.price, r.maxNotional);
        uint256 notional = uint256(LeverageMath.notional(sizeDelta, s.price).abs());
        bool isWorth = r.trigger == Trigger.EMERGENCY || notional >= r.minNotional;
        require(isWorth, TradeTooSmall(notional, r.minNotional));
        worst = LeverageMath.worstPrice(s.price, sizeDelta, r.slippage);
    }

    /// @dev A late scheduled rebalance pays its caller in shares, once per slot, at most a ten-thousandth of equity.
    function _tip(IVaultTerms.Ruling memory r, State memory s, Attribution memory lines)
        private
        returns (uint256 tipShares)
    {
        if (r.trigger != Trigger.SCHEDULED) return 0;
        uint256 value = LeverageMath.tip(r.lateness, r.tipRate, r.tipCap);
        value = Math.min(value, uint256(s.equity) / TIP_SHARE);
        tipShares = LeverageMath.toSharesDown(value, s.equity, s.supply);
        if (tipShares == 0) return 0;
        uint256 before = _nav(s);
        s.supply += tipShares;
        lines.venueFee -= int256(before - _nav(s)).toInt128();
        token.mint(msg.sender, tipShares);
    }

    /* INTERNALS */

    /// @dev At the price of the last booking: for those who leave.
    function _atMark() private view returns (State memory s) {
        s = _value(_position(), _mark.price);
        _charge(s);
    }

    /// @dev Leverage at which an entrant joins: the fund's own, or the target when it is empty.
    function _entryLeverage(State memory s) private view returns (int256) {
        return s.supply == 0 ? target : _leverage(s);
    }

    function _planEntry(State memory s, uint256 assets, uint256 shares) private view returns (Entry memory e) {
        (uint256 today, uint256 beforeCap) = _requireOpen(s);
        e = assets > 0 ? _planDeposit(s, assets) : _planMint(s, shares);
        require(e.margin <= today, DailyCapExceeded(e.margin, today));
        require(e.margin <= beforeCap, TotalCapExceeded(e.margin, beforeCap));
    }

    /// @dev Size on what the deposit really adds: net of the cost of its own trade. The cost grows faster than the size, so
    /// two quotes and a secant close in on it from the cheap side; `_sharesFor` takes up the rest.
    function _planDeposit(State memory s, uint256 assets) private view returns (Entry memory e) {
        e.assets = assets;
        e.fee = LeverageMath.feeUp(assets, s.mintFee);
        e.margin = assets - e.fee;
        int256 leverage_ = _entryLeverage(s);
        int256 brought = int256(e.margin * _scale);
        int256 gross = LeverageMath.sizeToLeverage(leverage_, brought, 0, s.price);
        if (gross == 0) return e;
        int256 cost = int256(_costToEntrant(s, adapter.quote(gross)));
        int256 size = LeverageMath.sizeNetOfCost(gross, s.price, leverage_, cost);
        int256 over = LeverageMath.excess(gross, s.price, leverage_, brought - cost);
        cost = int256(_costToEntrant(s, adapter.quote(size)));
        size = LeverageMath.secant(gross, over, size, LeverageMath.excess(size, s.price, leverage_, brought - cost));
        e.sizeDelta = _awayFromZero(size);
    }

    /// @dev Size on the collateral that the shares stand for, away from zero.
    function _planMint(State memory s, uint256 shares) private view returns (Entry memory e) {
        uint256 net = LeverageMath.toNetUp(shares, s.equity, s.supply);
        int256 leverage_ = _entryLeverage(s);
        e.sizeDelta = LeverageMath.sizeToLeverage(leverage_, int256(net), 0, s.price);
        e.sizeDelta = _awayFromZero(e.sizeDelta);
        uint256 cost = _costToEntrant(s, adapter.quote(e.sizeDelta));
        e.margin = Math.ceilDiv(net + cost, _scale);
        e.assets = LeverageMath.grossUp(e.margin, s.mintFee);
        e.fee = e.assets - e.margin;
    }

    /// @dev A wei of size more, so that what it carries does not fall short by rounding.
    function _awayFromZero(int256 size) private pure returns (int256) {
        if (size == 0) return 0;
        return size > 0 ? size + 1 : size - 1;
    }

    /// @dev Shares are for what the deposit left after its cost, and for no more than the exposure it bought carries: else
    /// the others would lend the entrant theirs, and a lagging price would make that worth money (E-2).
    function _sharesFor(State memory s, uint256 margin, IPerpAdapter.Fill memory fill) private view returns (uint256) {
        uint256 cost = _costToEntrant(s, fill);
        uint256 brought = margin * _scale;
        require(cost < brought, CostExceedsDeposit(cost, brought));
        uint256 net = brought - cost;
        int256 leverage_ = _entryLeverage(s);
        if (s.supply > 0 && leverage_ != 0) net = Math.min(net, LeverageMath.carrying(fill.size, s.price, leverage_));
        return LeverageMath.toSharesDown(net, s.equity, s.supply);
    }

    /// @dev By how much the trade lowers equity, to the wei (I-2). A fill better than the index belongs to the whole fund,
    /// never to the entrant.
    function _costToEntrant(State memory s, IPerpAdapter.Fill memory fill) private pure returns (uint256) {
        int256 cost = s.equity - LeverageMath.equity(s.cash + fill.cash, s.size + fill.size, s.price);
        return cost > 0 ? uint256(cost) : 0;
    }

    /// @dev Close a leaver's part of the position. A ruined vault whose position is worth less than nothing has
    /// nothing to close and pays nothing: the venue bears that.
    function _close(State memory s, uint256 shares) private returns (IPerpAdapter.Fill memory fill, uint256 proceeds) {
        int256 sizeDelta = _sizeToClose(s, shares);
        if (sizeDelta != 0) {
            if (_status.isRuined && _proceeds(s, shares) <= 0) return (fill, 0);
            fill = _trade(sizeDelta, 0, 0);
            require(fill.size == sizeDelta, PartialFill(fill.size, sizeDelta));
        }
        proceeds = _floor(LeverageMath.portionDown(s.cash, shares, s.supply) + fill.cash);
    }

    /// @dev What is left over by rounding stays long: the fund keeps an asset, never a debt (I-2).
    function _sizeToClose(State memory s, uint256 shares) private pure returns (int256) {
        return -LeverageMath.portionDown(s.size, shares, s.supply);
    }

    /// @dev What `shares` would be paid, WAD, before the burn fee.
    function _proceeds(State memory s, uint256 shares) private view returns (int256) {
        int256 sizeDelta = _sizeToClose(s, shares);
        int256 cash = LeverageMath.portionDown(s.cash, shares, s.supply);
        return sizeDelta == 0 ? cash : cash + adapter.quote(sizeDelta).cash;
    }

    /// @dev The shares whose proceeds cover `paid` assets. Where the venue pays better than its price the first guess is too
    /// many and is taken back once; from then on from below: a larger exit moves the venue further.
    function _sharesToPay(State memory s, uint256 paid) private view returns (uint256 shares) {
        if (paid == 0) return 0;
        int256 wanted = int256(paid * _scale);
        int256 whole = LeverageMath.equity(s.cash, s.size, adapter.price());
        if (s.supply == 0 || whole <= 0) revert TooFewAssets(0, paid);
        // Proceeds come in steps of a wei of the base: without a step to spare a round might gain nothing.
        uint256 aim = uint256(wanted) + s.price / WAD + 1;
        shares = Math.min(Math.ceilDiv(aim * s.supply, uint256(whole)), s.supply);
        int256 got = _proceeds(s, shares);
        for (uint256 i = 0; i < MAX_ROUNDS && (got < wanted ? shares < s.supply : got > int256(aim) && i == 0); ++i) {
            require(got > 0, TooFewAssets(0, paid));
            shares = Math.min(Math.ceilDiv(shares * aim, uint256(got)) + 1, s.supply);
            got = _proceeds(s, shares);
        }
        require(got >= wanted, TooFewAssets(_floor(got), paid));
    }

    /// @dev The margin goes straight to the adapter, the fee stays here. A token that takes a cut is refused.
    function _pull(Entry memory e) private {
        IERC20 token_ = IERC20(_asset);
        uint256 held = token_.balanceOf(address(adapter));
        token_.safeTransferFrom(msg.sender, address(adapter), e.margin);
        uint256 got = token_.balanceOf(address(adapter)) - held;
        require(got == e.margin, TransferShort(got, e.margin));
        if (e.fee == 0) return;
        feesOwed += e.fee;
        token_.safeTransferFrom(msg.sender, address(this), e.fee);
    }

    function _trade(int256 sizeDelta, uint256 assets, uint256 worst) private returns (IPerpAdapter.Fill memory) {
        return IInstantAdapter(address(adapter)).adjust(sizeDelta, assets, worst);
    }

    function _requireBefore(uint256 deadline) private view {
        require(block.timestamp <= deadline, DeadlinePassed(deadline, block.timestamp));
    }
}
