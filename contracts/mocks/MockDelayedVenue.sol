// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {IDelayedAdapter} from "interfaces/IDelayedAdapter.sol";
import {IPerpAdapter} from "interfaces/IPerpAdapter.sol";
import {LeverageMath, WAD} from "contracts/libraries/LeverageMath.sol";
import {MockERC20} from "contracts/mocks/MockERC20.sol";

/// @title An ideal delayed venue in one contract, for tests of the queued vault.
/// @notice Holds one order, which anyone may `execute` at an index price or, when it is old, `cancel`; `settle` does
/// either itself. Fee, slippage, times and what it keeps are the tester's choice. It can fill in part, refuse, freeze,
/// force sizes, hold margin back, lie and re-enter.
/// @dev Warning: for tests only, anybody may set anything. There is nothing to stop: no owner, no pause.
/// Rounds as a real venue does: a buyer pays up, a seller gets down, fees are up. A proof is abi.encode(index price).
contract MockDelayedVenue is IDelayedAdapter {
    using LeverageMath for int256;
    using SafeERC20 for IERC20;

    /// @dev What travels with an order, amounts WAD.
    struct Parcel {
        bool isReducing;
        uint256 fillableUntil;
        uint256 worstPrice;
        uint256 deposit;
        uint256 assets;
        uint256 release;
    }

    error VenueFailed(string reason);

    address public immutable asset;
    uint256 private immutable _scale;

    address public vault;
    uint256 public maxLeverage = 10e18;
    uint256 public feeRate;
    /// @notice How much worse than the index a fill is, WAD fraction; negative is better.
    int256 public slippage;
    /// @notice Part of an order that fills, WAD fraction, and the rest is dropped: with zero, every order is refused.
    uint256 public fillRatio = WAD;
    /// @notice Ages of an order, in seconds, between which it fills and from which it can be cancelled.
    uint256 public fillableFrom = 2;
    uint256 public fillableUntil = 29;
    uint256 public cancellableFrom = 31;
    /// @notice What an order keeps for its keeper, WAD.
    uint256 public keeperDeposit;
    /// @notice Wei that an execution with a proof costs, and an order.
    uint256 public proofFee = 1;
    uint256 public orderFee;
    /// @notice Margin moves inside orders only: with a position, `withdraw` pays no more than they `released`, WAD.
    bool public marginMovesWithOrders;
    uint256 public released;
    /// @notice Orders can neither be executed nor cancelled.
    bool public isFrozen;
    string public submitFailure;
    string public withdrawFailure;

    uint256 private _price = 2000e18;
    /// @dev The account with all that is in transit, and with a fill as soon as the venue made it.
    Position private _position;
    Order private _order;
    Parcel private _parcel;
    /// @dev Of a filled order that is not settled.
    Outcome private _outcome;
    Fill private _lie;
    uint256 private _priceLie;
    address private _hook;
    bytes private _hookData;

    constructor(address asset_) {
        asset = asset_;
        _scale = 10 ** (18 - MockERC20(asset_).decimals());
    }

    /* VIEWS */

    /// @inheritdoc IPerpAdapter
    function position() external view returns (Position memory) {
        return _order.stage == Stage.FILLED ? _outcome.before : _position;
    }

    /// @inheritdoc IDelayedAdapter
    function order() external view returns (Order memory) {
        return _order;
    }

    /// @inheritdoc IPerpAdapter
    function price() public view returns (uint256) {
        require(_price != 0, VenuePriceInvalid());
        return _price;
    }

    /// @inheritdoc IPerpAdapter
    function quote(int256 sizeDelta) public view returns (Fill memory) {
        return _fillAt(_fillable(sizeDelta), price());
    }

    /// @inheritdoc IDelayedAdapter
    function quoteAt(int256 sizeDelta, uint256 indexPrice) external view returns (Fill memory) {
        return _fillAt(_fillable(sizeDelta), indexPrice);
    }

    /* THE VAULT'S DOORS */

    /// @inheritdoc IPerpAdapter
    function bind() external {
        require(vault == address(0), AlreadyBound(vault));
        vault = msg.sender;
        emit Bound({vault: msg.sender});
    }

    /// @inheritdoc IDelayedAdapter
    function submit(int256 sizeDelta, uint256 assets, uint256 release, uint256 worstPrice, address payer)
        external
        payable
    {
        _requireVault();
        require(_order.stage == Stage.NONE, OrderExists(_order.sizeDelta));
        require(bytes(submitFailure).length == 0, VenueFailed(submitFailure));
        // As at a real venue, margin that is not there cannot be added.
        require(IERC20(asset).balanceOf(address(this)) >= assets, VenueFailed("margin not here"));
        _position.cash += int256(assets * _scale);
        _callHook();

        uint256 charged;
        if (sizeDelta == 0) {
            if (release != 0) _release(release * _scale, price());
        } else {
            charged = orderFee;
            require(msg.value >= charged, WrongFee(msg.value, charged));
            bool isReducing = _isReducing(sizeDelta);
            sizeDelta = _whole(sizeDelta);
            _requireMargin(quote(sizeDelta), isReducing);
            _order = Order({
                stage: Stage.WAITING,
                sizeDelta: sizeDelta,
                fillableFrom: block.timestamp + fillableFrom,
                cancellableFrom: block.timestamp + cancellableFrom
            });
            _parcel = Parcel({
                isReducing: isReducing,
                fillableUntil: block.timestamp + fillableUntil,
                worstPrice: worstPrice,
                deposit: keeperDeposit,
                assets: assets * _scale,
                release: release * _scale
            });
            emit Submitted({sizeDelta: sizeDelta, assets: assets, worstPrice: worstPrice});
        }
        _refund(payer, msg.value - charged);
    }

    /// @inheritdoc IDelayedAdapter
    function settle(bytes[] calldata proof, address payer) external payable returns (Outcome memory outcome) {
        _requireVault();
        require(_order.stage != Stage.NONE, NoOrder());
        uint256 charged;
        if (_order.stage == Stage.WAITING) {
            if (proof.length != 0 && _isFillable()) {
                charged = proofFee;
                require(msg.value >= charged, WrongFee(msg.value, charged));
                _execute(abi.decode(proof[0], (uint256)), true);
            } else {
                _cancel(true);
            }
        }
        _callHook();

        outcome = _outcome;
        if (_order.stage == Stage.GONE) outcome.before = _position;
        delete _order;
        delete _parcel;
        delete _outcome;
        emit Settled({size: outcome.fill.size, cash: outcome.fill.cash, fee: outcome.fill.fee, price: outcome.price});
        _refund(payer, msg.value - charged);

        outcome.fill.size += _lie.size;
        outcome.fill.cash += _lie.cash;
        outcome.fill.fee += _lie.fee;
        if (_priceLie != 0) outcome.price = _priceLie;
    }

    /// @inheritdoc IPerpAdapter
    function withdraw(uint256 assets, address receiver) external {
        _requireVault();
        require(bytes(withdrawFailure).length == 0, VenueFailed(withdrawFailure));
        uint256 free = _free() / _scale;
        require(free >= assets, WithdrawalShort(free, assets));
        _position.cash -= int256(assets * _scale);
        released -= Math.min(released, assets * _scale);
        uint256 held = IERC20(asset).balanceOf(address(this));
        if (held < assets) MockERC20(asset).mint(address(this), assets - held);
        IERC20(asset).safeTransfer(receiver, assets);
    }

    /* THE VENUE'S KEEPERS: ANYONE */

    /// @notice Fill the waiting order at an index price, or cancel it when it cannot be filled; keeps the deposit.
    function execute(uint256 indexPrice) external {
        require(_order.stage == Stage.WAITING, NoOrder());
        if (!_isFillable()) _revertWaiting();
        _execute(indexPrice, false);
    }

    /// @notice Cancel an order that has waited long enough; keeps the deposit.
    function cancel() external {
        require(_order.stage == Stage.WAITING, NoOrder());
        _cancel(false);
    }

    /* THE TESTER'S KNOBS */

    /// @notice Zero is a price that cannot be used.
    function setPrice(uint256 newPrice) external {
        _price = newPrice;
    }

    function setFeeRate(uint256 newFeeRate) external {
        feeRate = newFeeRate;
    }

    function setSlippage(int256 newSlippage) external {
        slippage = newSlippage;
    }

    function setFillRatio(uint256 newFillRatio) external {
        fillRatio = newFillRatio;
    }

    function setMaxLeverage(uint256 newMaxLeverage) external {
        maxLeverage = newMaxLeverage;
    }

    function setTimes(uint256 newFillableFrom, uint256 newFillableUntil, uint256 newCancellableFrom) external {
        (fillableFrom, fillableUntil, cancellableFrom) = (newFillableFrom, newFillableUntil, newCancellableFrom);
    }

    function setKeeperDeposit(uint256 newKeeperDeposit) external {
        keeperDeposit = newKeeperDeposit;
    }

    function setCharges(uint256 newProofFee, uint256 newOrderFee) external {
        (proofFee, orderFee) = (newProofFee, newOrderFee);
    }

    function setMarginMovesWithOrders(bool newMarginMovesWithOrders) external {
        marginMovesWithOrders = newMarginMovesWithOrders;
    }

    function setFrozen(bool newIsFrozen) external {
        isFrozen = newIsFrozen;
    }

    /// @notice Make `submit` and `withdraw` revert with these reasons; empty ones work again.
    function fail(string calldata submitReason, string calldata withdrawReason) external {
        submitFailure = submitReason;
        withdrawFailure = withdrawReason;
    }

    /// @notice Funding received, WAD; paid when negative.
    function fund(int256 amount) external {
        _position.cash += amount;
    }

    /// @notice Somebody else pays `assets` into the venue account.
    function donate(uint256 assets) external {
        IERC20(asset).safeTransferFrom(msg.sender, address(this), assets);
        _position.cash += int256(assets * _scale);
    }

    /// @notice The venue takes the position away with a waiting order and its deposit, and leaves `cash`, WAD.
    function liquidate(int256 cash) external {
        _position = Position({size: 0, cash: cash});
        released = 0;
        if (_order.stage == Stage.WAITING) _order.stage = Stage.GONE;
    }

    /// @notice The venue takes away a part of the position at `price` less a penalty on its value, WAD fractions; a waiting
    /// order stays.
    function liquidatePart(uint256 part, uint256 penalty) external {
        int256 closed = _position.size * int256(part) / int256(WAD);
        int256 value = LeverageMath.notional(closed, price());
        _position.size -= closed;
        _position.cash += value - value.abs() * int256(penalty) / int256(WAD);
    }

    /// @notice Add these to whatever `settle` reports, without doing them; a price replaces its price, unless it is zero.
    function lie(int256 size, int256 cash, uint256 fee, uint256 price_) external {
        _lie = Fill({size: size, cash: cash, fee: fee});
        _priceLie = price_;
    }

    /// @notice Call `target` with `data` in the middle of each `submit` and `settle`, and revert when it does; zero stops it.
    function setHook(address target, bytes calldata data) external {
        _hook = target;
        _hookData = data;
    }

    /* INTERNALS */

    /// @dev Fills the order or, as a venue does with one that cannot be filled, cancels it.
    function _execute(uint256 indexPrice, bool isOurs) private {
        require(!isFrozen, VenueFailed("frozen"));
        Parcel memory parcel = _parcel;
        Position memory before = _position;
        // A position that was forced down meanwhile is not turned round.
        bool isMoot = parcel.isReducing && before.size == 0;
        int256 size = isMoot ? int256(0) : _fillable(_order.sizeDelta);
        Fill memory fill = _fillAt(size, indexPrice);
        if (!isOurs) {
            fill.cash -= int256(parcel.deposit);
            fill.fee += parcel.deposit;
        }
        Position memory left = Position({size: before.size + size, cash: before.cash + fill.cash});

        uint256 dealt = _fillPrice(size > 0, indexPrice);
        bool isTooBad = parcel.worstPrice != 0 && (size > 0 ? dealt > parcel.worstPrice : dealt < parcel.worstPrice);
        if (size == 0 || isTooBad || (!parcel.isReducing && _margin(left, indexPrice) < 0)) {
            return _remove(isOurs);
        }
        _order.stage = Stage.FILLED;
        _outcome = Outcome({before: before, fill: fill, price: indexPrice, reward: isOurs ? parcel.deposit : 0});
        _position = left;
        _release(parcel.release, indexPrice);
    }

    function _cancel(bool isOurs) private {
        if (block.timestamp < _order.cancellableFrom) _revertWaiting();
        require(!isFrozen, VenueFailed("frozen"));
        _remove(isOurs);
    }

    /// @dev Whoever removes an order gets its deposit.
    function _remove(bool isOurs) private {
        _order.stage = Stage.GONE;
        if (!isOurs) _position.cash -= int256(_parcel.deposit);
        if (marginMovesWithOrders) released += _parcel.assets;
    }

    /// @dev As a venue does, drops in silence what the position cannot spare. Without a position nothing is held back.
    function _release(uint256 amount, uint256 atPrice) private {
        if (!marginMovesWithOrders || _position.size == 0) released = 0;
        else if (_margin(_position, atPrice) >= int256(released + amount)) released += amount;
    }

    /// @dev What `withdraw` can pay, WAD.
    function _free() private view returns (uint256) {
        if (_order.stage != Stage.NONE) return 0;
        int256 margin = _margin(_position, _position.size == 0 ? 0 : price());
        if (margin <= 0) return 0;
        bool isHeldBack = marginMovesWithOrders && _position.size != 0;
        return isHeldBack ? Math.min(uint256(margin), released) : uint256(margin);
    }

    /// @dev Equity beyond what the position must have; negative when it is short of that.
    function _margin(Position memory held, uint256 atPrice) private view returns (int256) {
        uint256 min = LeverageMath.carrying(held.size, atPrice, int256(maxLeverage));
        return LeverageMath.equity(held.cash, held.size, atPrice) - int256(min);
    }

    /// @dev That the account can pay the deposit and, unless it reduces, carry the position after `fill`.
    function _requireMargin(Fill memory fill, bool isReducing) private view {
        int256 size = _position.size + fill.size;
        int256 margin = LeverageMath.equity(_position.cash + fill.cash, size, price()) - int256(keeperDeposit);
        uint256 min = isReducing ? 0 : LeverageMath.carrying(size, price(), int256(maxLeverage));
        require(margin >= int256(min), MarginShort(margin, min));
    }

    function _isReducing(int256 sizeDelta) private view returns (bool) {
        return _position.size != 0 && (_position.size > 0) != (sizeDelta > 0);
    }

    /// @dev Never through zero to the other side.
    function _whole(int256 sizeDelta) private view returns (int256) {
        bool isTooMuch = _isReducing(sizeDelta) && sizeDelta.abs() > _position.size.abs();
        return isTooMuch ? -_position.size : sizeDelta;
    }

    function _fillable(int256 sizeDelta) private view returns (int256) {
        int256 whole = _whole(sizeDelta);
        return fillRatio == WAD ? whole : whole * int256(fillRatio) / int256(WAD);
    }

    function _fillPrice(bool isBuy, uint256 indexPrice) private view returns (uint256) {
        int256 worse = int256(indexPrice) * slippage / int256(WAD);
        return uint256(int256(indexPrice) + (isBuy ? worse : -worse));
    }

    function _fillAt(int256 size, uint256 indexPrice) private view returns (Fill memory fill) {
        if (size == 0) return fill;
        uint256 dealt = _fillPrice(size > 0, indexPrice);
        bool isBuy = size > 0;
        uint256 value = Math.mulDiv(uint256(size.abs()), dealt, WAD, isBuy ? Math.Rounding.Ceil : Math.Rounding.Floor);
        fill.size = size;
        fill.fee = LeverageMath.feeUp(value, feeRate);
        fill.cash = (isBuy ? -int256(value) : int256(value)) - int256(fill.fee);
    }

    function _isFillable() private view returns (bool) {
        return block.timestamp >= _order.fillableFrom && block.timestamp <= _parcel.fillableUntil;
    }

    function _revertWaiting() private view {
        revert OrderWaiting(block.timestamp, _order.fillableFrom, _order.cancellableFrom);
    }

    function _refund(address payer, uint256 value) private {
        if (value != 0) Address.sendValue(payable(payer), value);
    }

    function _callHook() private {
        if (_hook != address(0)) Address.functionCall(_hook, _hookData);
    }

    function _requireVault() private view {
        require(msg.sender == vault, OnlyVault(msg.sender, vault));
    }
}
