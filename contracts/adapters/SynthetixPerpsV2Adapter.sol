// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {SignedMath} from "@openzeppelin/contracts/utils/math/SignedMath.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IDelayedAdapter} from "interfaces/IDelayedAdapter.sol";
import {IPerpAdapter} from "interfaces/IPerpAdapter.sol";
import {IPyth} from "interfaces/external/IPyth.sol";
import {
    ISynthetixMarket,
    ISynthetixPart,
    ISynthetixResolver,
    ISynthetixState,
    ISynthetixStore,
    ISynthetixSynth
} from "interfaces/external/ISynthetixPerpsV2.sol";

/// @title One market of Synthetix Perps V2 for one vault. Fills some seconds later, at a price from Pyth.
/// @notice Only the vault may trade and withdraw; `bind` is open to anyone, once. No owner, no parameters.
/// @dev Anyone may execute the order at the venue for its deposit, and gets that; here it comes back to the margin.
/// @custom:stop The vault's guardian stops what the vault sends here. The venue's owner can suspend the market: everything
/// but reading then reverts with the venue's reason. An order that waits meanwhile can be cancelled by anyone at the venue.
contract SynthetixPerpsV2Adapter is IDelayedAdapter {
    using Address for address payable;
    using SafeCast for *;
    using SafeERC20 for IERC20;
    using SignedMath for int256;

    /// @dev What is to be known of an order once the venue has forgotten it.
    /// @param sizeDelta 0 when it is settled.
    /// @param deposit What the venue holds back for whoever executes the order.
    /// @param skew The market's, without the order.
    /// @param cash The account's, with the deposit and with funding up to `fundingIndex`.
    struct Sent {
        int128 sizeDelta;
        uint88 deposit;
        uint40 time;
        int128 skew;
        int96 cash;
        uint32 fundingIndex;
    }

    int256 private constant ONE = 1e18;
    /// @dev Index price at which to ask what the venue would pay, to tell the one at which it paid something else.
    int256 private constant REFERENCE = 1e36;
    /// @dev Owners of what the venue stores.
    bytes32 private constant SETTINGS = "PerpsV2MarketSettings";
    bytes32 private constant EXCHANGE_RATE = "PerpsV2ExchangeRate";

    ISynthetixMarket public immutable market;
    ISynthetixStore public immutable store;
    /// @inheritdoc IPerpAdapter
    address public immutable asset;
    bytes32 private immutable _marketKey;
    bytes32 private immutable _feedRecord;

    /// @inheritdoc IPerpAdapter
    address public vault;
    Sent private _sent;

    constructor(ISynthetixMarket market_) {
        market = market_;
        _marketKey = market_.marketKey();
        _feedRecord = keccak256(abi.encodePacked(bytes32("priceFeedId"), market_.baseAsset()));
        (, address part) = market_.getRoute(market_.assetPrice.selector);
        ISynthetixResolver resolver = ISynthetixPart(part).resolver();
        store = ISynthetixStore(resolver.requireAndGetAddress("FlexibleStorage", ""));
        asset = ISynthetixSynth(resolver.requireAndGetAddress("SynthsUSD", "")).proxy();
    }

    /* VIEWS */

    /// @inheritdoc IPerpAdapter
    /// @dev While nothing is held the venue's price is not needed, and may be invalid.
    function position() external view returns (Position memory) {
        Sent memory sent = _sent;
        ISynthetixState state = _state(market.assetPrice.selector);
        (Stage stage, ISynthetixState.Position memory held) = _look(state, sent);
        if (stage == Stage.FILLED) return _before(state, sent, held.size, _index(sent, held));
        if (stage == Stage.GONE) return _account(state, held, 0);
        return _account(state, state.positions(address(this)), stage == Stage.WAITING ? sent.deposit : 0);
    }

    /// @inheritdoc IDelayedAdapter
    function order() external view returns (Order memory o) {
        Sent memory sent = _sent;
        if (sent.sizeDelta == 0) return o;
        (o.stage,) = _look(_state(market.assetPrice.selector), sent);
        o.sizeDelta = sent.sizeDelta;
        (o.fillableFrom, o.cancellableFrom) = _times(sent);
    }

    /// @inheritdoc IPerpAdapter
    function price() public view returns (uint256) {
        (uint256 index, bool invalid) = market.assetPrice();
        require(!invalid, VenuePriceInvalid());
        return index;
    }

    /// @inheritdoc IPerpAdapter
    function maxLeverage() external view returns (uint256) {
        return uint256(_parameter("maxLeverage"));
    }

    /// @inheritdoc IPerpAdapter
    /// @dev Without the deposit, which comes back when the order is executed here, and without the dynamic fee, which the
    /// venue leaves off: it would be dear to ask for.
    function quote(int256 sizeDelta) external view returns (Fill memory) {
        return quoteAt(sizeDelta, price());
    }

    /// @inheritdoc IDelayedAdapter
    function quoteAt(int256 sizeDelta, uint256 indexPrice) public view returns (Fill memory) {
        ISynthetixState state = _state(market.assetPrice.selector);
        int256 size = state.positions(address(this)).size;
        int256 change = _cut(size, sizeDelta);
        if (change == 0) return Fill(0, 0, 0);
        require(change.abs() <= type(uint120).max, QuoteTooLarge(sizeDelta));
        int256 skew = state.marketSkew();
        int256 fillPrice = _fillPrice(indexPrice.toInt256(), skew, change);
        require(fillPrice >= 0, QuoteTooLarge(sizeDelta));
        int256 fee = _fee(fillPrice, skew, change);
        return Fill(change, _proceeds(fillPrice, size, change) - fee, uint256(fee));
    }

    /* THE VAULT'S DOORS */

    /// @inheritdoc IPerpAdapter
    function bind() external {
        require(vault == address(0), AlreadyBound(vault));
        vault = msg.sender;
        emit Bound({vault: msg.sender});
    }

    /// @inheritdoc IDelayedAdapter
    /// @dev An order costs no value, and margin moves without one: `release` is not needed.
    function submit(int256 sizeDelta, uint256 assets, uint256, uint256 worstPrice, address payer) external payable {
        _requireVault();
        require(_sent.sizeDelta == 0, OrderExists(_sent.sizeDelta));
        if (assets > 0) _call(0, abi.encodeCall(market.transferMargin, (assets.toInt256())));
        if (sizeDelta != 0) sizeDelta = _submit(sizeDelta, worstPrice);
        emit Submitted({sizeDelta: sizeDelta, assets: assets, worstPrice: worstPrice});
        _refund(payer, msg.value);
    }

    /// @inheritdoc IDelayedAdapter
    function settle(bytes[] calldata proof, address payer) external payable returns (Outcome memory outcome) {
        _requireVault();
        Sent memory sent = _sent;
        require(sent.sizeDelta != 0, NoOrder());
        _sent.sizeDelta = 0;
        ISynthetixState state = _state(market.executeOffchainDelayedOrder.selector);
        (Stage stage, ISynthetixState.Position memory held) = _look(state, sent);
        uint256 fee;
        uint256 ourPrice;
        if (stage == Stage.WAITING) {
            (stage, fee, ourPrice) = _finish(sent, proof);
            held = state.positions(address(this));
        }
        if (stage == Stage.GONE) outcome.before = _account(state, held, 0);
        else outcome = _outcome(state, sent, held, ourPrice);
        emit Settled({size: outcome.fill.size, cash: outcome.fill.cash, fee: outcome.fill.fee, price: outcome.price});
        _refund(payer, msg.value - fee);
    }

    /// @inheritdoc IPerpAdapter
    function withdraw(uint256 assets, address receiver) external {
        _requireVault();
        // What a fill was is told from the margin: until it is settled, that stays as it is.
        require(_sent.sizeDelta == 0, WithdrawalShort(0, assets));
        try market.transferMargin(-assets.toInt256()) {}
        catch (bytes memory reason) {
            (uint256 accessible, bool invalid) = market.accessibleMargin(address(this));
            require(invalid || accessible >= assets, WithdrawalShort(accessible, assets));
            _revertWith(reason);
        }
        IERC20(asset).safeTransfer(receiver, assets);
    }

    /* ORDERS */

    function _submit(int256 sizeDelta, uint256 worstPrice) private returns (int256) {
        ISynthetixState state = _state(market.assetPrice.selector);
        ISynthetixState.Position memory held = state.positions(address(this));
        sizeDelta = _cut(held.size, sizeDelta);
        uint256 deposit = store.getUIntValue(SETTINGS, "perpsV2MinKeeperFee");
        if (held.size == 0) {
            // The venue would take the order with its deposit, and then not find the margin to fill it.
            uint256 min = store.getUIntValue(SETTINGS, "perpsV2MinInitialMargin") + deposit;
            require(held.margin >= min, MarginShort(int256(uint256(held.margin)), min));
        }
        uint256 limit = worstPrice == 0 && sizeDelta > 0 ? type(uint128).max : worstPrice.toUint128();
        _call(0, abi.encodeCall(market.submitOffchainDelayedOrder, (sizeDelta, limit)));
        int256 cash = int256(uint256(held.margin));
        if (held.size != 0) {
            held = state.positions(address(this));
            cash = _cash(held) + deposit.toInt256();
        }
        _sent = Sent({
            sizeDelta: sizeDelta.toInt128(),
            deposit: deposit.toUint88(),
            time: block.timestamp.toUint40(),
            skew: state.marketSkew(),
            cash: cash.toInt96(),
            fundingIndex: held.lastFundingIndex.toUint32()
        });
        return sizeDelta;
    }

    /// @dev Cancels a waiting order that is old, and executes any other.
    function _finish(Sent memory sent, bytes[] calldata proof)
        private
        returns (Stage, uint256 fee, uint256 indexPrice)
    {
        (uint256 fillableFrom, uint256 cancellableFrom) = _times(sent);
        if (block.timestamp >= cancellableFrom) {
            _call(0, abi.encodeCall(market.cancelOffchainDelayedOrder, (address(this))));
            return (Stage.GONE, 0, 0);
        }
        // There is a last second in which it can be neither executed nor cancelled.
        bool isFillable = block.timestamp >= fillableFrom && block.timestamp + 1 < cancellableFrom;
        require(isFillable && proof.length > 0, OrderWaiting(block.timestamp, fillableFrom, cancellableFrom));
        IPyth pyth = IPyth(store.getAddressValue(EXCHANGE_RATE, "offchainOracle"));
        fee = pyth.getUpdateFee(proof);
        require(msg.value >= fee, WrongFee(msg.value, fee));
        _call(fee, abi.encodeCall(market.executeOffchainDelayedOrder, (address(this), proof)));
        // The latest that Pyth was told is what the venue has just used, even if that was not told by this proof.
        IPyth.Price memory p = pyth.getPriceUnsafe(store.getBytes32Value(EXCHANGE_RATE, _feedRecord));
        indexPrice = int256(p.price).toUint256() * 10 ** (18 + int256(p.expo)).toUint256();
        return (Stage.FILLED, fee, indexPrice);
    }

    /// @dev What the order became when it was filled: at `ourPrice`, or by somebody else when that is 0.
    function _outcome(ISynthetixState state, Sent memory sent, ISynthetixState.Position memory held, uint256 ourPrice)
        private
        view
        returns (Outcome memory o)
    {
        int256 size = sent.sizeDelta;
        bool isOurs = ourPrice != 0;
        bool isClosed = held.size == 0;
        uint256 index = isOurs && isClosed ? state.fundingSequenceLength() - 1 : _index(sent, held);
        o.before = _before(state, sent, held.size, index);
        int256 cash = int256(uint256(held.margin)) - o.before.cash;
        if (isOurs) (o.price, o.reward) = (ourPrice, sent.deposit);
        else o.price = _indexPrice(sent, held, cash + int256(uint256(sent.deposit)));
        int256 fillPrice = int256(uint256(held.lastPrice));
        if (isClosed) {
            int256 skew = isOurs ? state.marketSkew() - size : sent.skew;
            fillPrice = _fillPrice(o.price.toInt256(), skew, size);
        }
        cash -= held.size * fillPrice / ONE;
        int256 fee = _proceeds(fillPrice, o.before.size, size) - cash;
        // Where the venue takes no fee, its rounding may be against itself.
        o.fill = Fill(size, cash, uint256(fee.max(0)));
    }

    /// @dev The index price of a fill by somebody else: where the market's skew, as it was when the order was sent, puts what
    /// the venue keeps. That is the fill price or, of a position that was closed, no more than what was paid after the fee.
    function _indexPrice(Sent memory sent, ISynthetixState.Position memory held, int256 paid)
        private
        view
        returns (uint256)
    {
        int256 atReference = _fillPrice(REFERENCE, sent.skew, sent.sizeDelta);
        if (held.size != 0) {
            paid = int256(uint256(held.lastPrice));
        } else {
            int256 fee = _fee(atReference, sent.skew, sent.sizeDelta);
            atReference = _proceeds(atReference, -int256(sent.sizeDelta), sent.sizeDelta) - fee;
        }
        // Dust may have fetched less than nothing.
        return uint256((REFERENCE * paid / atReference).max(0));
    }

    /* THE ACCOUNT */

    /// @dev Where the order is and, unless it waits, the position as the venue has it: after a fill, with an entry of its own.
    function _look(ISynthetixState state, Sent memory sent)
        private
        view
        returns (Stage, ISynthetixState.Position memory held)
    {
        if (sent.sizeDelta == 0) return (Stage.NONE, held);
        (, int128 waiting) = state.delayedOrders(address(this));
        if (waiting != 0) return (Stage.WAITING, held);
        held = state.positions(address(this));
        bool isFilled = held.margin != 0 && held.lastFundingIndex != sent.fundingIndex;
        return (isFilled ? Stage.FILLED : Stage.GONE, held);
    }

    /// @dev The account as it is now, with what is in transit.
    function _account(ISynthetixState state, ISynthetixState.Position memory held, uint256 transit)
        private
        view
        returns (Position memory)
    {
        int256 cash = _cash(held) + transit.toInt256();
        if (held.size != 0) {
            int256 funding = _nextEntry(state) - state.fundingSequence(held.lastFundingIndex);
            cash += held.size * funding / ONE;
        }
        return Position(held.size, cash);
    }

    /// @dev The account as it was at an entry of the funding sequence, without the fill.
    function _before(ISynthetixState state, Sent memory sent, int256 sizeAfter, uint256 index)
        private
        view
        returns (Position memory p)
    {
        p = Position(sizeAfter - sent.sizeDelta, sent.cash);
        if (p.size == 0) return p;
        int256 funding = state.fundingSequence(index) - state.fundingSequence(sent.fundingIndex);
        p.cash += p.size * funding / ONE;
    }

    /// @dev The entry that a fill made in the funding sequence. When it closed the position the venue forgets it; the first
    /// one after the order is no more than the order's life away.
    function _index(Sent memory sent, ISynthetixState.Position memory held) private pure returns (uint256) {
        return held.size == 0 ? sent.fundingIndex + 1 : held.lastFundingIndex;
    }

    /// @dev Without the funding since the position's last entry.
    function _cash(ISynthetixState.Position memory held) private pure returns (int256) {
        return int256(uint256(held.margin)) - held.size * int256(uint256(held.lastPrice)) / ONE;
    }

    function _times(Sent memory sent) private view returns (uint256 fillableFrom, uint256 cancellableFrom) {
        fillableFrom = sent.time + uint256(_parameter("offchainDelayedOrderMinAge")) + 1;
        cancellableFrom = sent.time + uint256(_parameter("offchainDelayedOrderMaxAge")) + 1;
    }

    /// @dev `sizeDelta`, but not through zero.
    function _cut(int256 size, int256 sizeDelta) private pure returns (int256) {
        if (size > 0 ? sizeDelta < -size : size < 0 && sizeDelta > -size) return -size;
        return sizeDelta;
    }

    /* THE VENUE'S FORMULAS, IN ITS ROUNDING */

    /// @dev What the funding sequence would go on with now: the mean rate since its last entry, paid at the index price.
    function _nextEntry(ISynthetixState state) private view returns (int256) {
        int256 elapsed = (block.timestamp - state.fundingLastRecomputed()).toInt256() * ONE / 1 days;
        int256 skew = state.marketSkew() * ONE / _parameter("skewScale");
        int256 change = skew.max(-ONE).min(ONE) * _parameter("maxFundingVelocity") / ONE * elapsed / ONE;
        int256 rate = (2 * int256(state.fundingRateLastRecomputed()) + change) / 2;
        int256 latest = state.fundingSequence(state.fundingSequenceLength() - 1);
        return latest - rate * elapsed / ONE * price().toInt256() / ONE;
    }

    /// @dev The average price over a trade: off the index by the skew's part of its scale.
    function _fillPrice(int256 index, int256 skew, int256 sizeDelta) private view returns (int256) {
        int256 scale = _parameter("skewScale");
        int256 first = index + index * (skew * ONE / scale) / ONE;
        int256 last = index + index * ((skew + sizeDelta) * ONE / scale) / ONE;
        return (first + last) / 2;
    }

    /// @dev One rate for what takes the skew further from zero, and another for what brings it back.
    function _fee(int256 fillPrice, int256 skew, int256 sizeDelta) private view returns (int256 fee) {
        int256 value = int256((sizeDelta * fillPrice / ONE).abs());
        bool isAway = skew == 0 || (skew > 0) == (sizeDelta > 0);
        int256 away = isAway ? ONE : ((skew + sizeDelta) * ONE / sizeDelta).max(0);
        if (away > 0) fee = value * away / ONE * _parameter("takerFeeOffchainDelayedOrder") / ONE;
        if (away < ONE) fee += value * (ONE - away) / ONE * _parameter("makerFeeOffchainDelayedOrder") / ONE;
    }

    /// @dev What a trade brings before its fee.
    function _proceeds(int256 fillPrice, int256 size, int256 sizeDelta) private pure returns (int256) {
        return size * fillPrice / ONE - (size + sizeDelta) * fillPrice / ONE;
    }

    /* INTERNALS */

    /// @dev To read past the market's proxy and its views takes half the gas. The state may move, so that whoever answers a
    /// call is asked where it is: best, a call that will be made.
    function _state(bytes4 selector) private view returns (ISynthetixState) {
        (, address part) = market.getRoute(selector);
        return ISynthetixPart(part).marketState();
    }

    /// @dev One of the market's parameters.
    function _parameter(bytes32 name) private view returns (int256) {
        return store.getUIntValue(SETTINGS, keccak256(abi.encodePacked(_marketKey, name))).toInt256();
    }

    /// @dev Acts at the venue, or reverts with its reason.
    function _call(uint256 value, bytes memory data) private {
        (bool isDone, bytes memory reason) = address(market).call{value: value}(data);
        if (!isDone) _revertWith(reason);
    }

    function _revertWith(bytes memory reason) private pure {
        bool isInvalid = keccak256(reason) == keccak256(abi.encodeWithSignature("Error(string)", "Invalid price"));
        require(!isInvalid, VenuePriceInvalid());
        assembly ("memory-safe") {
            revert(add(reason, 0x20), mload(reason))
        }
    }

    function _refund(address payer, uint256 value) private {
        if (value > 0) payable(payer).sendValue(value);
    }

    function _requireVault() private view {
        require(msg.sender == vault, OnlyVault(msg.sender, vault));
    }
}
