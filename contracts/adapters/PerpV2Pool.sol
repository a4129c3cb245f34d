// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {SignedMath} from "@openzeppelin/contracts/utils/math/SignedMath.sol";
import {IUniswapV3Pool} from "interfaces/external/IUniswapV3Pool.sol";

/// @title What a Perp v2 market's Uniswap v3 pool tells: prices, exact fills, and how far the venue lets the price go.
/// @notice Fills are found by walking the pool in its own steps (whitepaper, section 6): each ends at an initialised tick,
/// at the edge of a word of the tick bitmap, or where the order is filled. The venue hides the pool's fee from its traders
/// and charges its own on the quote side, rounded up at each step.
/// @dev At this venue base is the pool's token 0 and quote its token 1: a buy raises the price. Nothing to stop: it only
/// reads.
library PerpV2Pool {
    using SafeCast for uint256;
    using SignedMath for int256;

    /// @dev Fees: 1e6 = 100 %.
    struct Market {
        IUniswapV3Pool pool;
        int24 tickSpacing;
        uint256 poolFee;
        uint256 exchangeFee;
    }

    /// @dev Where the walk is: base still to trade, quote that changed hands, venue fee on it.
    struct Walk {
        uint160 root;
        int24 tick;
        uint128 liquidity;
        uint256 left;
        uint256 quote;
        uint256 fee;
    }

    uint256 private constant Q96 = 1 << 96;
    uint256 private constant ONE = 1e6;
    int24 private constant MAX_TICK = 887272;

    /// @dev 1.0001^(-2^i / 2) for i = 0..19, each 16 bytes of fraction, rounded to the nearest.
    bytes private constant ROOTS = hex"fffcb933bd6fad37aa2d162d1a594001fff97272373d413259a46990580e213a"
        hex"fff2e50f5f656932ef12357cf3c7fdccffe5caca7e10e4e61c3624eaa0941cd0"
        hex"ffcb9843d60f6159c9db58835c926644ff973b41fa98c081472e6896dfb254c0"
        hex"ff2ea16466c96a3843ec78b326b52861fe5dee046a99a2a811c461f1969c3053"
        hex"fcbe86c7900a88aedcffc83b479aa3a4f987a7253ac413176f2b074cf7815e54"
        hex"f3392b0822b70005940c7a398e4b70f3e7159475a2c29b7443b29c7fa6e889d9"
        hex"d097f3bdfd2022b8845ad8f792aa5825a9f746462d870fdf8a65dc1f90e061e5"
        hex"70d869a156d2a1b890bb3df62baf32f731be135f97d08fd981231505542fcfa6"
        hex"09aa508b5b7a84e1c677de54f3e99bc9005d6af8dedb81196699c329225ee604"
        hex"00002216e584f5fa1ea926041bedfe9800000000048a170391f7dc42444e8fa2";

    /// @notice Quote paid for buying `base`, fee included, or received for selling it, fee deducted.
    /// @return total The quote.
    /// @return isDry Whether the pool has not enough.
    function totalOf(Market memory m, bool isBuy, uint256 base) internal view returns (uint256 total, bool isDry) {
        Walk memory w;
        (w.root, w.tick,,,,,) = m.pool.slot0();
        w.liquidity = m.pool.liquidity();
        // A seller pays the pool's fee in newly made base tokens.
        w.left = isBuy ? base : Math.mulDiv(base, ONE, ONE - m.poolFee, Math.Rounding.Ceil);
        while (w.left != 0) {
            (int24 next, bool isInitialised) = _nextTick(m, w.tick, isBuy);
            if (next > MAX_TICK || next < -MAX_TICK) return (0, true);
            uint160 edge = rootAt(next);
            if (!(isBuy ? _buyTo(edge, w, m) : _sellTo(edge, w, m))) break;
            if (isInitialised) {
                (, int128 net,,,,,,) = m.pool.ticks(next);
                w.liquidity = uint256(int256(uint256(w.liquidity)) + (isBuy ? net : -net)).toUint128();
            }
            w.root = edge;
            // A tick belongs to the range above it.
            w.tick = isBuy ? next : next - 1;
        }
        total = isBuy ? w.quote * (ONE - m.poolFee) / ONE + w.fee : w.quote - w.fee;
    }

    /* PRICES */

    function rootNow(IUniswapV3Pool pool) internal view returns (uint160 root) {
        (root,,,,,,) = pool.slot0();
    }

    /// @notice Whether a trade up to `limit` has nothing left to do.
    function isPassed(IUniswapV3Pool pool, bool isBuy, uint160 limit) internal view returns (bool) {
        uint160 root = rootNow(pool);
        return isBuy ? root >= limit : root <= limit;
    }

    /// @notice The price of a root, WAD, as the venue computes it.
    function priceOf(uint160 root) internal pure returns (uint256) {
        return Math.mulDiv(Math.mulDiv(root, root, Q96), 1e18, Q96);
    }

    /// @notice The root of a limit on the price, rounded to the strict side.
    function rootOf(uint256 price, bool isBuy) internal pure returns (uint160) {
        Math.Rounding strict = isBuy ? Math.Rounding.Floor : Math.Rounding.Ceil;
        return (Math.sqrt(Math.mulDiv(price, 1 << 128, 1e18, strict), strict) << 32).toUint160();
    }

    /// @notice sqrt(1.0001^tick) * 2^96, rounded as the pool does.
    function rootAt(int24 tick) internal pure returns (uint160) {
        uint256 bits = uint256(int256(tick < 0 ? -tick : tick));
        bytes memory roots = ROOTS;
        uint256 root = 1 << 128;
        for (uint256 i; bits != 0; (++i, bits >>= 1)) {
            if (bits & 1 == 0) continue;
            uint256 factor;
            assembly ("memory-safe") {
                factor := shr(128, mload(add(add(roots, 0x20), shl(4, i))))
            }
            root = root * factor >> 128;
        }
        if (tick > 0) root = type(uint256).max / root;
        return ((root + type(uint32).max) >> 32).toUint160();
    }

    /* THE VENUE'S PRICE WINDOW */

    /// @notice The edge of a window of `width` ticks to either side, whichever tick of the last `age` seconds is its middle.
    function edgeOf(IUniswapV3Pool pool, bool isBuy, uint24 width, uint256 age) internal view returns (uint160) {
        int256 middle = _extremeTick(pool, isBuy, age);
        int256 edge = isBuy ? middle + int256(uint256(width)) : middle - int256(uint256(width));
        return rootAt(int24(edge.min(MAX_TICK - 1).max(1 - MAX_TICK)));
    }

    /// @dev Of the ticks at which a second within the last `age` began, and the present one, the worst for the trade.
    function _extremeTick(IUniswapV3Pool pool, bool isBuy, uint256 age) private view returns (int24 extreme) {
        uint16 index;
        uint16 cardinality;
        (, extreme, index, cardinality,,,) = pool.slot0();
        (uint32 end, int56 sum,,) = pool.observations(index);
        // The tick stood still between two observations.
        while (block.timestamp - end < age) {
            index = (index == 0 ? cardinality : index) - 1;
            (uint32 start, int56 sumBefore,, bool isInitialised) = pool.observations(index);
            if (!isInitialised || start >= end) break;
            int24 tick = int24((sum - sumBefore) / int56(uint56(end - start)));
            if (isBuy == (tick < extreme)) extreme = tick;
            (end, sum) = (start, sumBefore);
        }
    }

    /* STEPS */

    /// @dev Buys what is left, at most up to the price `edge`, and says whether it came that far.
    function _buyTo(uint160 edge, Walk memory w, Market memory m) private pure returns (bool isReached) {
        uint256 offered = _baseBetween(w.root, edge, w.liquidity, Math.Rounding.Floor);
        isReached = w.left >= offered;
        uint160 end = isReached ? edge : _rootAfter(w.root, w.liquidity, w.left, false);
        uint256 paid = Math.mulDiv(w.liquidity, end - w.root, Q96, Math.Rounding.Ceil);
        // The venue takes the pool's fee off again, but once, from the sum.
        w.quote += paid + Math.mulDiv(paid, m.poolFee, ONE - m.poolFee, Math.Rounding.Ceil);
        w.fee += Math.mulDiv(paid, m.exchangeFee, ONE - m.exchangeFee, Math.Rounding.Ceil);
        if (isReached) w.left -= offered;
    }

    /// @dev Sells what is left, at most down to the price `edge`, and says whether it came that far.
    function _sellTo(uint160 edge, Walk memory w, Market memory m) private pure returns (bool isReached) {
        uint256 offered = w.left * (ONE - m.poolFee) / ONE;
        uint256 wanted = _baseBetween(edge, w.root, w.liquidity, Math.Rounding.Ceil);
        isReached = offered >= wanted;
        uint160 end = isReached ? edge : _rootAfter(w.root, w.liquidity, offered, true);
        uint256 got = Math.mulDiv(w.liquidity, w.root - end, Q96);
        w.quote += got;
        w.fee += Math.mulDiv(got, m.exchangeFee, ONE, Math.Rounding.Ceil);
        if (isReached) w.left -= wanted + Math.mulDiv(wanted, m.poolFee, ONE - m.poolFee, Math.Rounding.Ceil);
    }

    /// @dev The nearest initialised tick in the same word of the bitmap, else the word's last one. 256 to a word.
    function _nextTick(Market memory m, int24 tick, bool isBuy) private view returns (int24 next, bool isInitialised) {
        int24 slot = tick / m.tickSpacing;
        if (tick < 0 && tick % m.tickSpacing != 0) --slot;
        if (isBuy) ++slot;
        uint256 bit = uint256(int256(slot)) & 0xff;
        uint256 word = m.pool.tickBitmap(int16(slot >> 8));
        // Cut off what lies behind.
        word = isBuy ? word >> bit << bit : word << (255 - bit) >> (255 - bit);
        isInitialised = word != 0;
        uint256 found = isBuy ? 255 : 0;
        // `word & -word` is the lowest bit.
        if (isInitialised) found = Math.log2(isBuy ? word & (~word + 1) : word);
        next = (slot + int24(int256(found)) - int24(int256(bit))) * m.tickSpacing;
    }

    /* FORMULAS */

    /// @dev Root of the price after `base` came in or went out, rounded up: against the trader both ways.
    function _rootAfter(uint160 root, uint128 liquidity, uint256 base, bool isIn) private pure returns (uint160) {
        uint256 depth = uint256(liquidity) << 96;
        uint256 moved = base * root;
        return Math.mulDiv(depth, root, isIn ? depth + moved : depth - moved, Math.Rounding.Ceil).toUint160();
    }

    /// @dev Base that moves the price from one root to the other: L * (1/low - 1/high).
    function _baseBetween(uint160 low, uint160 high, uint128 liquidity, Math.Rounding rounding)
        private
        pure
        returns (uint256)
    {
        uint256 scaled = Math.mulDiv(uint256(liquidity) << 96, high - low, high, rounding);
        return rounding == Math.Rounding.Ceil ? Math.ceilDiv(scaled, low) : scaled / low;
    }
}
