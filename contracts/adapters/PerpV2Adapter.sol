// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SignedMath} from "@openzeppelin/contracts/utils/math/SignedMath.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IInstantAdapter} from "interfaces/IInstantAdapter.sol";
import {IPerpAdapter} from "interfaces/IPerpAdapter.sol";
import {
    IPerpAccountBalance,
    IPerpClearingHouse,
    IPerpClearingHouseConfig,
    IPerpExchange,
    IPerpMarketRegistry,
    IPerpVault
} from "interfaces/external/IPerpV2.sol";
import {IUniswapV3Pool} from "interfaces/external/IUniswapV3Pool.sol";
import {PerpV2Pool} from "contracts/adapters/PerpV2Pool.sol";

/// @title One market of Perpetual Protocol v2 for one vault. Fills in the same transaction.
/// @notice Only the vault may trade and withdraw; `bind` is open to anyone, once. No owner, no parameters.
/// @custom:stop The vault's guardian stops what the vault sends here. The venue's owner can pause the market: trades then
/// revert with the venue's reason. A market that the venue closes is settled by `quitMarket(adapter, baseToken)` there, open
/// to anyone, and everything can be withdrawn.
contract PerpV2Adapter is IInstantAdapter {
    using PerpV2Pool for IUniswapV3Pool;
    using PerpV2Pool for PerpV2Pool.Market;
    using SafeCast for *;
    using SafeERC20 for IERC20;
    using SignedMath for int256;

    error NotReopened(int256 got, int256 wanted);

    uint256 private constant WAD = 1e18;
    int256 private constant ONE = 1e6;
    /// @dev Seconds for which the venue keeps the middle of its price window.
    uint256 private constant WINDOW_AGE = 15;

    IPerpClearingHouse public immutable clearingHouse;
    IPerpVault public immutable venueVault;
    IPerpExchange public immutable exchange;
    IPerpAccountBalance public immutable accountBalance;
    IPerpMarketRegistry public immutable marketRegistry;
    IUniswapV3Pool public immutable pool;
    address public immutable baseToken;
    /// @inheritdoc IPerpAdapter
    address public immutable asset;
    int256 private immutable _scale;
    int24 private immutable _tickSpacing;
    uint256 private immutable _poolFee;

    /// @inheritdoc IPerpAdapter
    address public vault;

    constructor(IPerpClearingHouse clearingHouse_, address baseToken_) {
        clearingHouse = clearingHouse_;
        baseToken = baseToken_;
        venueVault = IPerpVault(clearingHouse_.getVault());
        exchange = IPerpExchange(clearingHouse_.getExchange());
        accountBalance = IPerpAccountBalance(clearingHouse_.getAccountBalance());
        marketRegistry = IPerpMarketRegistry(exchange.getMarketRegistry());
        pool = IUniswapV3Pool(marketRegistry.getPool(baseToken_));
        asset = venueVault.getSettlementToken();
        _scale = int256(10 ** (18 - venueVault.decimals()));
        _tickSpacing = pool.tickSpacing();
        _poolFee = pool.fee();
        IERC20(asset).forceApprove(address(venueVault), type(uint256).max);
    }

    /* VIEWS */

    /// @inheritdoc IPerpAdapter
    function position() public view returns (Position memory p) {
        p.size = _size();
        (int256 owed,, uint256 makerFee) = accountBalance.getPnlAndPendingFee(address(this));
        p.cash = venueVault.getBalance(address(this)) * _scale + owed + makerFee.toInt256() + _openNotional();
        if (p.size != 0) p.cash -= exchange.getPendingFundingPayment(address(this), baseToken);
    }

    /// @inheritdoc IPerpAdapter
    function price() public view returns (uint256) {
        return PerpV2Pool.priceOf(pool.rootNow());
    }

    /// @inheritdoc IPerpAdapter
    function maxLeverage() external view returns (uint256) {
        return WAD * uint256(ONE) / _marginRatio();
    }

    /// @inheritdoc IPerpAdapter
    /// @dev The venue's fee is in `cash` to the wei; as `fee` it is told from the total, which can miss the venue's own
    /// figure by a wei for each step of the pool, here and in `adjust` alike.
    function quote(int256 sizeDelta) external view returns (Fill memory) {
        int256 size = _cut(_size(), sizeDelta);
        if (size == 0) return Fill(0, 0, 0);
        uint256 amount = size.abs();
        require(amount <= type(uint128).max, QuoteTooLarge(sizeDelta));
        uint256 feeRatio = _feeRatio();
        PerpV2Pool.Market memory market = PerpV2Pool.Market(pool, _tickSpacing, _poolFee, feeRatio);
        (uint256 total, bool isDry) = market.totalOf(size > 0, amount);
        require(!isDry, QuoteTooLarge(sizeDelta));
        return _fill(size, total, feeRatio);
    }

    /* THE VAULT'S DOORS */

    /// @inheritdoc IPerpAdapter
    function bind() external {
        require(vault == address(0), AlreadyBound(vault));
        vault = msg.sender;
        emit Bound({vault: msg.sender});
    }

    /// @inheritdoc IInstantAdapter
    /// @dev Profit is no margin at this venue until it is realised. When it refuses a trade for that reason, a slice of the
    /// position is first closed and reopened. An increase without new margin is the fund's own, so its fill tells that cost
    /// as well. Whoever brings margin or reduces pays for the own trade only: `quote` holds, and `position` shows the cost.
    function adjust(int256 sizeDelta, uint256 assets, uint256 worstPrice) external returns (Fill memory fill) {
        _requireVault();
        if (assets > 0) venueVault.deposit(asset, assets);
        int256 size = _size();
        sizeDelta = _cut(size, sizeDelta);
        if (sizeDelta == 0) return fill;
        bool isBuy = sizeDelta > 0;
        uint160 limit = worstPrice == 0 ? 0 : PerpV2Pool.rootOf(worstPrice, isBuy);
        if (limit != 0 && pool.isPassed(isBuy, limit)) return fill;

        bytes memory refusal;
        (fill, refusal) = _trade(sizeDelta, limit);
        if (_is(refusal, "CH_NEFCI") || _is(refusal, "CH_NEFCM")) {
            bool isIncrease = isBuy == (size > 0);
            int256 slice = _slice(size, isIncrease ? sizeDelta.abs() : 0, 0);
            if (slice == 0) _revertWith(refusal);
            Fill memory cost = _realise(slice);
            (fill, refusal) = _trade(sizeDelta, limit);
            if (isIncrease && assets == 0) (fill.cash, fill.fee) = (fill.cash + cost.cash, fill.fee + cost.fee);
        }
        if (refusal.length > 0) _revertWith(refusal);
        // What the venue holds now is the truth, whatever it reported.
        fill.size = _size() - size;
        emit Adjusted({size: fill.size, cash: fill.cash, fee: fill.fee});
    }

    /// @inheritdoc IPerpAdapter
    /// @dev Realises profit, too, when margin is short.
    function withdraw(uint256 assets, address receiver) external {
        _requireVault();
        bytes memory refusal = _pay(assets);
        if (_is(refusal, "V_NEFC")) {
            int256 slice = _slice(_size(), 0, assets);
            if (slice != 0) {
                _realise(slice);
                refusal = _pay(assets);
            }
            if (_is(refusal, "V_NEFC")) {
                revert WithdrawalShort(venueVault.getFreeCollateralByToken(address(this), asset), assets);
            }
        }
        if (refusal.length > 0) _revertWith(refusal);
        IERC20(asset).safeTransfer(receiver, assets);
    }

    /* TRADES */

    /// @dev Trades an exact amount, up to `limit`. The venue refuses a trade that ends outside its price window, so then
    /// what fits is traded: into the window around the present tick, or, should the middle be elsewhere, into what is in
    /// the window wherever its middle is. Returns a fill, or why there is none.
    function _trade(int256 sizeDelta, uint160 limit) private returns (Fill memory fill, bytes memory refusal) {
        bool isBuy = sizeDelta > 0;
        IPerpClearingHouse.OpenPositionParams memory order = IPerpClearingHouse.OpenPositionParams({
            baseToken: baseToken,
            isBaseToQuote: !isBuy,
            isExactInput: !isBuy,
            amount: sizeDelta.abs(),
            oppositeAmountBound: 0,
            deadline: block.timestamp,
            sqrtPriceLimitX96: limit,
            referralCode: 0
        });
        for (uint256 age;; age += WINDOW_AGE) {
            try clearingHouse.openPosition(order) returns (uint256 base, uint256 total) {
                return (_fill(isBuy ? base.toInt256() : -base.toInt256(), total, _feeRatio()), "");
            } catch (bytes memory reason) {
                // Without a reason it ran out of gas.
                if (reason.length == 0) _revertWith(reason);
                refusal = reason;
            }
            if (!_is(refusal, "EX_OPLAS") || age > WINDOW_AGE) return (fill, refusal);
            uint160 edge = pool.edgeOf(isBuy, exchange.getMaxTickCrossedWithinBlock(baseToken), age);
            if (limit == 0 || isBuy == (edge < limit)) order.sqrtPriceLimitX96 = edge;
            if (pool.isPassed(isBuy, order.sqrtPriceLimitX96)) return (fill, refusal);
        }
    }

    /// @dev Closes a slice of the position and reopens it.
    function _realise(int256 slice) private returns (Fill memory cost) {
        (Fill memory closed, bytes memory refusal) = _trade(-slice, 0);
        if (refusal.length > 0) _revertWith(refusal);
        (cost, refusal) = _trade(-closed.size, 0);
        if (refusal.length > 0) _revertWith(refusal);
        require(cost.size == -closed.size, NotReopened(cost.size, -closed.size));
        cost = Fill(0, cost.cash + closed.cash, cost.fee + closed.fee);
    }

    /// @dev How much to realise so that margin is half again what the venue asks of the debt, after `added` of size and
    /// with `assets` gone. Zero when there is no profit, or margin is not what is missing.
    function _slice(int256 size, uint256 added, uint256 assets) private view returns (int256) {
        int256 spot = price().toInt256();
        int256 value = size * spot / int256(WAD);
        int256 openNotional = _openNotional();
        int256 profit = value + openNotional;
        int256 debt = (size > 0 ? -openNotional : -value) + added.toInt256() * spot / int256(WAD);
        int256 margin = position().cash - openNotional - assets.toInt256() * _scale;
        int256 goal = int256(_marginRatio()) * 3 / 2;
        // Reopening turns the profit of a long into debt as well.
        int256 missing = (debt * goal / ONE - margin) * ONE / (size > 0 ? ONE - goal : ONE);
        if (profit <= 0 || missing <= 0) return 0;
        return missing < profit ? size * missing / profit : size;
    }

    function _pay(uint256 assets) private returns (bytes memory refusal) {
        try venueVault.withdraw(asset, assets) {}
        catch (bytes memory reason) {
            if (reason.length == 0) _revertWith(reason);
            refusal = reason;
        }
    }

    /* INTERNALS */

    /// @dev `sizeDelta`, but not through zero.
    function _cut(int256 size, int256 sizeDelta) private pure returns (int256) {
        if (size > 0 ? sizeDelta < -size : size < 0 && sizeDelta > -size) return -size;
        return sizeDelta;
    }

    function _fill(int256 size, uint256 total, uint256 feeRatio) private pure returns (Fill memory) {
        return size > 0
            ? Fill(size, -total.toInt256(), Math.mulDiv(total, feeRatio, uint256(ONE), Math.Rounding.Ceil))
            : Fill(size, total.toInt256(), Math.mulDiv(total, feeRatio, uint256(ONE) - feeRatio, Math.Rounding.Ceil));
    }

    function _size() private view returns (int256) {
        return accountBalance.getTakerPositionSize(address(this), baseToken);
    }

    function _openNotional() private view returns (int256) {
        return accountBalance.getTakerOpenNotional(address(this), baseToken);
    }

    function _feeRatio() private view returns (uint256) {
        return marketRegistry.getMarketInfoByTrader(address(this), baseToken).exchangeFeeRatio;
    }

    function _marginRatio() private view returns (uint256) {
        return IPerpClearingHouseConfig(clearingHouse.getClearingHouseConfig()).getImRatio();
    }

    function _is(bytes memory reason, string memory code) private pure returns (bool) {
        return keccak256(reason) == keccak256(abi.encodeWithSignature("Error(string)", code));
    }

    function _revertWith(bytes memory reason) private pure {
        assembly ("memory-safe") {
            revert(add(reason, 0x20), mload(reason))
        }
    }

    function _requireVault() private view {
        require(msg.sender == vault, OnlyVault(msg.sender, vault));
    }
}
