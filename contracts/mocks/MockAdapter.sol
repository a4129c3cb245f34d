// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {IInstantAdapter} from "interfaces/IInstantAdapter.sol";
import {IPerpAdapter} from "interfaces/IPerpAdapter.sol";
import {LeverageMath, WAD} from "contracts/libraries/LeverageMath.sol";
import {MockERC20} from "contracts/mocks/MockERC20.sol";

/// @title An ideal venue in one contract, for tests of the vault.
/// @notice Fills any size at `price`, with a fee and a slippage of the tester's choice, margins at 1/maxLeverage of the
/// value at `price`, pays profit in newly minted tokens. It can fail, fill in part, lie, liquidate and re-enter.
/// @dev Warning: for tests only, anybody may set anything. There is nothing to stop: no owner, no pause.
/// Rounds as a real venue does: a buyer pays up, a seller gets down, fees are up.
contract MockAdapter is IInstantAdapter {
    using LeverageMath for int256;
    using SafeERC20 for IERC20;

    error VenueFailed(string reason);
    error MarginShort(int256 leverage, uint256 maxLeverage);

    address public immutable asset;
    uint256 private immutable _scale;

    address public vault;
    uint256 public price = 2000e18;
    uint256 public maxLeverage = 10e18;
    uint256 public feeRate;
    /// @notice How much worse than `price` a fill is, WAD fraction; negative is better.
    int256 public slippage;
    /// @notice Part of an order that fills, WAD fraction.
    uint256 public fillRatio = WAD;
    string public adjustFailure;
    string public withdrawFailure;

    Position private _position;
    /// @dev What came in less what went out, WAD: above it is profit.
    int256 private _paidIn;
    Fill private _lie;
    address private _hook;
    bytes private _hookData;

    constructor(address asset_) {
        asset = asset_;
        _scale = 10 ** (18 - MockERC20(asset_).decimals());
    }

    /* VIEWS */

    /// @inheritdoc IPerpAdapter
    function position() external view returns (Position memory) {
        return _position;
    }

    /// @inheritdoc IPerpAdapter
    function quote(int256 sizeDelta) public view returns (Fill memory fill) {
        fill.size = _fillable(sizeDelta);
        if (fill.size == 0) return fill;
        uint256 dealt = _fillPrice(fill.size > 0);
        uint256 size = uint256(fill.size.abs());
        if (fill.size > 0) {
            uint256 paid = Math.mulDiv(size, dealt, WAD, Math.Rounding.Ceil);
            fill.fee = LeverageMath.feeUp(paid, feeRate);
            fill.cash = -int256(paid + fill.fee);
        } else {
            uint256 got = Math.mulDiv(size, dealt, WAD);
            fill.fee = LeverageMath.feeUp(got, feeRate);
            fill.cash = int256(got) - int256(fill.fee);
        }
    }

    /// @notice Equity at the venue's own price.
    function equity() public view returns (int256) {
        return LeverageMath.equity(_position.cash, _position.size, price);
    }

    /* THE VAULT'S DOORS */

    /// @inheritdoc IPerpAdapter
    function bind() external {
        require(vault == address(0), AlreadyBound(vault));
        vault = msg.sender;
        emit Bound({vault: msg.sender});
    }

    /// @inheritdoc IInstantAdapter
    function adjust(int256 sizeDelta, uint256 assets, uint256 worstPrice) external returns (Fill memory fill) {
        _requireVault();
        require(bytes(adjustFailure).length == 0, VenueFailed(adjustFailure));
        // As at a real venue, margin that is not there cannot be added.
        require(IERC20(asset).balanceOf(address(this)) >= assets, VenueFailed("margin not here"));
        _credit(int256(assets * _scale));
        _callHook();

        uint256 dealt = _fillPrice(sizeDelta > 0);
        bool isTooBad = worstPrice != 0 && (sizeDelta > 0 ? dealt > worstPrice : dealt < worstPrice);
        if (!isTooBad) fill = quote(sizeDelta);
        int256 held = _position.size.abs();
        _position.size += fill.size;
        _position.cash += fill.cash;
        if (_position.size.abs() > held) _requireMargin(equity());
        if (fill.size != 0) emit Adjusted({size: fill.size, cash: fill.cash, fee: fill.fee});

        fill.size += _lie.size;
        fill.cash += _lie.cash;
        fill.fee += _lie.fee;
    }

    /// @inheritdoc IPerpAdapter
    function withdraw(uint256 assets, address receiver) external {
        _requireVault();
        require(bytes(withdrawFailure).length == 0, VenueFailed(withdrawFailure));
        int256 amount = int256(assets * _scale);
        int256 worth = equity();
        require(worth >= amount, WithdrawalShort(worth > 0 ? uint256(worth) / _scale : 0, assets));
        _credit(-amount);
        _requireMargin(worth - amount);
        uint256 held = IERC20(asset).balanceOf(address(this));
        if (held < assets) MockERC20(asset).mint(address(this), assets - held);
        IERC20(asset).safeTransfer(receiver, assets);
    }

    /* THE TESTER'S KNOBS */

    function setPrice(uint256 newPrice) external {
        price = newPrice;
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

    /// @notice Make `adjust` and `withdraw` revert with these reasons; empty ones work again.
    function fail(string calldata adjustReason, string calldata withdrawReason) external {
        adjustFailure = adjustReason;
        withdrawFailure = withdrawReason;
    }

    /// @notice Funding received, WAD; paid when negative.
    function fund(int256 amount) external {
        _position.cash += amount;
    }

    /// @notice Somebody else pays `assets` into the venue account.
    function donate(uint256 assets) external {
        IERC20(asset).safeTransferFrom(msg.sender, address(this), assets);
        _credit(int256(assets * _scale));
    }

    /// @notice The venue takes the position away and leaves `cash`, WAD.
    function liquidate(int256 cash) external {
        _position = Position({size: 0, cash: cash});
    }

    /// @notice The venue takes away a part of the position at `price` less a penalty on its value, WAD fractions.
    function liquidatePart(uint256 part, uint256 penalty) external {
        int256 closed = _position.size * int256(part) / int256(WAD);
        int256 value = LeverageMath.notional(closed, price);
        _position.size -= closed;
        _position.cash += value - value.abs() * int256(penalty) / int256(WAD);
    }

    /// @notice The venue can pay only `share` of the profit so far, WAD fraction: the rest is lost now.
    function payProfit(uint256 share) external {
        int256 profit = equity() - _paidIn;
        if (profit > 0) _position.cash -= profit * int256(WAD - share) / int256(WAD);
    }

    /// @notice Add these to whatever `adjust` reports, without doing them.
    function lie(int256 size, int256 cash, uint256 fee) external {
        _lie = Fill({size: size, cash: cash, fee: fee});
    }

    /// @notice Call `target` with `data` in the middle of each `adjust`, and revert when it does; zero stops it.
    function setHook(address target, bytes calldata data) external {
        _hook = target;
        _hookData = data;
    }

    /* INTERNALS */

    /// @dev The part of an order that fills: never through zero to the other side.
    function _fillable(int256 sizeDelta) private view returns (int256 fillable) {
        int256 size = _position.size;
        bool isReducing = (size > 0) != (sizeDelta > 0) && size != 0;
        fillable = isReducing && sizeDelta.abs() > size.abs() ? -size : sizeDelta;
        if (fillRatio != WAD) fillable = fillable * int256(fillRatio) / int256(WAD);
    }

    function _fillPrice(bool isBuy) private view returns (uint256) {
        int256 worse = int256(price) * slippage / int256(WAD);
        return uint256(int256(price) + (isBuy ? worse : -worse));
    }

    function _credit(int256 amount) private {
        _position.cash += amount;
        _paidIn += amount;
    }

    function _callHook() private {
        if (_hook == address(0)) return;
        (bool isDone, bytes memory reason) = _hook.call(_hookData);
        if (isDone) return;
        assembly ("memory-safe") {
            revert(add(reason, 0x20), mload(reason))
        }
    }

    function _requireMargin(int256 worth) private view {
        int256 leverage = LeverageMath.leverage(_position.size, price, worth).abs();
        require(leverage <= int256(maxLeverage), MarginShort(leverage, maxLeverage));
    }

    function _requireVault() private view {
        require(msg.sender == vault, OnlyVault(msg.sender, vault));
    }
}
