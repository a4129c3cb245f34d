// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
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
import {PerpV2Quote} from "contracts/adapters/PerpV2Quote.sol";

/// @title One market of Perpetual Protocol v2 for one vault. Fills in the same transaction.
/// @notice Only the vault may trade and withdraw; `bind` is open to anyone, once. No owner, no parameters.
/// @custom:stop The vault's guardian stops what the vault sends here. The venue's owner can pause the market: trades then
/// revert with the venue's reason. A market that the venue closes is settled by `quitMarket(adapter, baseToken)` there, open
/// to anyone, and everything can be withdrawn.
contract PerpV2Adapter is IPerpAdapter {
    using PerpV2Quote for PerpV2Quote.Market;
    using SafeCast for *;
    using SafeERC20 for IERC20;

    uint256 private constant WAD = 1e18;
    uint256 private constant ONE = 1e6;
    /// @dev Margin to restore when profit has to be realised; the venue asks for 10 % of the debt.
    int256 private constant REALISE_TO = 0.15e6;
    /// @dev A trade is tried without a window, then in the whole, a quarter and a sixteenth of the venue's window.
    uint256 private constant ATTEMPTS = 4;

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
        (uint256 root,) = _spot();
        return Math.mulDiv(Math.mulDiv(root, root, 1 << 96), WAD, 1 << 96);
    }

    /// @inheritdoc IPerpAdapter
    function maxLeverage() external view returns (uint256) {
        return WAD * ONE / IPerpClearingHouseConfig(clearingHouse.getClearingHouseConfig()).getImRatio();
    }

    /// @inheritdoc IPerpAdapter
    /// @dev The venue's fee is in `cash` to the wei; as `fee` it is told from the total, which can miss the venue's own
    /// figure by a wei for each step of the pool, here and in `adjust` alike.
    function quote(int256 sizeDelta) external view returns (Fill memory) {
        int256 size = _cut(_size(), sizeDelta);
        if (size == 0) return Fill(0, 0, 0);
        uint256 amount = _abs(size);
        require(amount <= type(uint128).max, QuoteTooLarge(sizeDelta));
        uint256 feeRatio = _feeRatio();
        PerpV2Quote.Market memory market = PerpV2Quote.Market(pool, _tickSpacing, _poolFee, feeRatio);
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

    /// @inheritdoc IPerpAdapter
    /// @dev Profit is no margin at this venue until it is realised. When it refuses an increase for that reason, a
    /// slice is sold and bought back in the same call; what that costs is in the fill, and not in `quote`.
    function adjust(int256 sizeDelta, uint256 assets, uint256 worstPrice) external returns (Fill memory fill) {
        _requireVault();
        if (assets > 0) venueVault.deposit(asset, assets);
        int256 size = _size();
        sizeDelta = _cut(size, sizeDelta);
        (uint160 limit, bool isPassed) = _limit(sizeDelta > 0, worstPrice);
        if (sizeDelta == 0 || isPassed) return fill;

        bytes memory refusal;
        (fill, refusal) = _trade(sizeDelta, limit);
        if (refusal.length > 0) {
            int256 slice = _is(refusal, "CH_NEFCI") ? _slice(size, sizeDelta, 0) : int256(0);
            if (slice == 0) _revertWith(refusal);
            fill = _realise(slice, sizeDelta, limit);
        }
        // What the venue holds now is the truth, whatever it reported.
        fill.size = _size() - size;
        emit Adjusted({size: fill.size, cash: fill.cash, fee: fill.fee});
    }

    /// @inheritdoc IPerpAdapter
    function withdraw(uint256 assets, address receiver) external {
        _requireVault();
        try venueVault.withdraw(asset, assets) {}
        catch (bytes memory refusal) {
            if (!_is(refusal, "V_NEFC")) _revertWith(refusal);
            int256 slice = _slice(_size(), 0, assets);
            if (slice != 0) _realise(slice, 0, 0);
            try venueVault.withdraw(asset, assets) {}
            catch {
                revert WithdrawalShort(venueVault.getFreeCollateralByToken(address(this), asset), assets);
            }
        }
        IERC20(asset).safeTransfer(receiver, assets);
    }

    /* TRADES */

    /// @dev An exact base amount up to `limit`. The venue reverts when a trade leaves its price window, whose middle
    /// cannot be read: then whatever fits into ever smaller parts of it is traded. Either `fill` or why there is none.
    function _trade(int256 sizeDelta, uint160 limit) private returns (Fill memory fill, bytes memory refusal) {
        bool isBuy = sizeDelta > 0;
        for (uint256 attempt; attempt < ATTEMPTS; ++attempt) {
            IPerpClearingHouse.OpenPositionParams memory order = IPerpClearingHouse.OpenPositionParams({
                baseToken: baseToken,
                isBaseToQuote: !isBuy,
                isExactInput: !isBuy,
                amount: _abs(sizeDelta),
                oppositeAmountBound: 0,
                deadline: block.timestamp,
                sqrtPriceLimitX96: attempt == 0 ? limit : _windowed(isBuy, limit, 2 * (attempt - 1)),
                referralCode: 0
            });
            try clearingHouse.openPosition(order) returns (uint256 base, uint256 total) {
                return (_fill(isBuy ? base.toInt256() : -base.toInt256(), total, _feeRatio()), "");
            } catch (bytes memory reason) {
                // An empty reason is a call that ran out of gas.
                refusal = reason.length == 0 ? bytes("out of gas") : reason;
                if (!_is(reason, "EX_OPLAS") && !_is(reason, "EX_OPB")) break;
            }
        }
    }

    /// @dev Closes `slice` of the position, then buys it back together with `sizeDelta`.
    function _realise(int256 slice, int256 sizeDelta, uint160 limit) private returns (Fill memory fill) {
        Fill memory back;
        bytes memory refusal;
        (fill, refusal) = _trade(-slice, 0);
        if (refusal.length > 0) _revertWith(refusal);
        (back, refusal) = _trade(sizeDelta - fill.size, limit);
        if (refusal.length > 0) _revertWith(refusal);
        fill.size += back.size;
        fill.cash += back.cash;
        fill.fee += back.fee;
    }

    /// @dev How much of the position to close and reopen, so that margin is REALISE_TO of the debt after `sizeDelta`
    /// and after `assets` have left; zero when there is no profit to realise or margin is not what is short.
    /// Reopening turns a long's profit into debt as well, hence the divisor; for a short that asks for a little more.
    function _slice(int256 size, int256 sizeDelta, uint256 assets) private view returns (int256) {
        int256 spot = price().toInt256();
        int256 value = size * spot / int256(WAD);
        int256 openNotional = _openNotional();
        int256 profit = value + openNotional;
        if (profit <= 0) return 0;
        int256 debt = (size > 0 ? -openNotional : -value) + _abs(sizeDelta).toInt256() * spot / int256(WAD);
        int256 margin = position().cash - openNotional - assets.toInt256() * _scale;
        int256 short = debt * REALISE_TO / int256(ONE) - margin;
        if (short <= 0) return 0;
        int256 toRealise = short * int256(ONE) / (int256(ONE) - REALISE_TO);
        return toRealise < profit ? size * toRealise / profit : size;
    }

    /* INTERNALS */

    /// @dev `sizeDelta`, but not through zero.
    function _cut(int256 size, int256 sizeDelta) private pure returns (int256) {
        if (size > 0 ? sizeDelta < -size : size < 0 && sizeDelta > -size) return -size;
        return sizeDelta;
    }

    function _fill(int256 size, uint256 total, uint256 feeRatio) private pure returns (Fill memory) {
        return size > 0
            ? Fill(size, -total.toInt256(), Math.mulDiv(total, feeRatio, ONE, Math.Rounding.Ceil))
            : Fill(size, total.toInt256(), Math.mulDiv(total, feeRatio, ONE - feeRatio, Math.Rounding.Ceil));
    }

    /// @dev `worstPrice` as the pool writes prices, and whether the pool is there already.
    function _limit(bool isBuy, uint256 worstPrice) private view returns (uint160 limit, bool isPassed) {
        if (worstPrice == 0) return (0, false);
        Math.Rounding rounding = isBuy ? Math.Rounding.Floor : Math.Rounding.Ceil;
        limit = (Math.sqrt(Math.mulDiv(worstPrice, 1 << 128, WAD, rounding), rounding) << 32).toUint160();
        (uint160 root,) = _spot();
        isPassed = isBuy ? root >= limit : root <= limit;
    }

    /// @dev The tighter of `limit` and the venue's window around the present tick, narrowed by `2 ** shift`.
    function _windowed(bool isBuy, uint160 limit, uint256 shift) private view returns (uint160) {
        (, int24 tick) = _spot();
        int256 window = int256(Math.max(uint256(exchange.getMaxTickCrossedWithinBlock(baseToken)) >> shift, 1));
        int256 last = PerpV2Quote.MAX_TICK - 1;
        int256 edge = isBuy ? _min(tick + window, last) : -_min(window - tick, last);
        uint160 bound = PerpV2Quote.rootAt(int24(edge));
        if (limit == 0) return bound;
        return isBuy == (limit < bound) ? limit : bound;
    }

    function _spot() private view returns (uint160 root, int24 tick) {
        (root, tick,,,,,) = pool.slot0();
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

    function _is(bytes memory reason, string memory code) private pure returns (bool) {
        return keccak256(reason) == keccak256(abi.encodeWithSignature("Error(string)", code));
    }

    function _revertWith(bytes memory reason) private pure {
        assembly ("memory-safe") {
            revert(add(reason, 0x20), mload(reason))
        }
    }

    function _abs(int256 x) private pure returns (uint256) {
        return uint256(x < 0 ? -x : x);
    }

    function _min(int256 a, int256 b) private pure returns (int256) {
        return a < b ? a : b;
    }

    function _requireVault() private view {
        require(msg.sender == vault, OnlyVault(msg.sender, vault));
    }
}
