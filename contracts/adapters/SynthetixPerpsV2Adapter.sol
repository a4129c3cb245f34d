// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Address} from "@openzeppelin/contracts/utils/Address.sol";
import {SignedMath} from "@openzeppelin/contracts/utils/math/SignedMath.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IDelayedAdapter} from "interfaces/IDelayedAdapter.sol";
import {IPerpAdapter} from "interfaces/IPerpAdapter.sol";
import {
    ISynthetixExchangeRate,
    ISynthetixMarket,
    ISynthetixPart,
    ISynthetixResolver,
    ISynthetixSettings,
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

    /// @dev What is to be known of an order when the venue has forgotten it.
    /// @param sizeDelta 0 once it is settled.
    /// @param deposit What the venue keeps for its keeper.
    /// @param cash The account's cash with the deposit, and without funding after `fundingIndex`.
    /// @param premium By which part of the index price a fill was off it.
    struct Sent {
        int128 sizeDelta;
        uint88 deposit;
        uint40 time;
        int128 cash;
        uint64 fundingIndex;
        int64 premium;
    }

    int256 private constant ONE = 1e18;
    /// @dev The venue's number for orders that Pyth's prices fill.
    uint8 private constant OFFCHAIN = 2;

    ISynthetixMarket public immutable market;
    ISynthetixSettings public immutable settings;
    ISynthetixExchangeRate public immutable exchangeRate;
    /// @inheritdoc IPerpAdapter
    address public immutable asset;
    bytes32 private immutable _marketKey;
    bytes32 private immutable _baseAsset;

    /// @inheritdoc IPerpAdapter
    address public vault;
    Sent private _sent;

    constructor(ISynthetixMarket market_) {
        market = market_;
        _marketKey = market_.marketKey();
        _baseAsset = market_.baseAsset();
        ISynthetixResolver resolver = ISynthetixPart(market_.getAllTargets()[0]).resolver();
        settings = ISynthetixSettings(resolver.requireAndGetAddress("PerpsV2MarketSettings", ""));
        exchangeRate = ISynthetixExchangeRate(resolver.requireAndGetAddress("PerpsV2ExchangeRate", ""));
        asset = ISynthetixSynth(resolver.requireAndGetAddress("SynthsUSD", "")).proxy();
    }

    /* VIEWS */

    /// @inheritdoc IPerpAdapter
    /// @dev While nothing is held the venue's price is not needed, and may be invalid.
    function position() external view returns (Position memory) {
        Sent memory sent = _sent;
        (Stage stage, ISynthetixMarket.Position memory held) = _look(sent);
        if (stage == Stage.FILLED) return _before(sent, held.size, _indexOf(sent, held));
        return _account(held, stage == Stage.WAITING ? sent.deposit : 0);
    }

    /// @inheritdoc IDelayedAdapter
    function order() external view returns (Order memory o) {
        Sent memory sent = _sent;
        if (sent.sizeDelta == 0) return o;
        (o.stage,) = _look(sent);
        o.sizeDelta = sent.sizeDelta;
        o.fillableFrom = sent.time + settings.offchainDelayedOrderMinAge(_marketKey) + 1;
        o.cancellableFrom = _cancellableFrom(sent);
    }

    /// @inheritdoc IPerpAdapter
    function price() external view returns (uint256) {
        (uint256 index, bool invalid) = market.assetPrice();
        require(!invalid, VenuePriceInvalid());
        return index;
    }

    /// @inheritdoc IPerpAdapter
    function maxLeverage() external view returns (uint256) {
        return settings.maxLeverage(_marketKey);
    }

    /// @inheritdoc IPerpAdapter
    /// @dev Without the keeper's deposit, which comes back when the order is executed here.
    function quote(int256 sizeDelta) external view returns (Fill memory) {
        int256 size = market.positions(address(this)).size;
        int256 change = _cut(size, sizeDelta);
        if (change == 0) return Fill(0, 0, 0);
        require(change.abs() <= uint128(type(int128).max), QuoteTooLarge(sizeDelta));
        (uint256 fillPrice, bool invalid) = market.fillPrice(change);
        require(!invalid, VenuePriceInvalid());
        // So much is sold that the venue's price is below zero.
        require(fillPrice <= uint256(type(int256).max), QuoteTooLarge(sizeDelta));
        uint256 fee;
        (fee, invalid) = market.orderFee(change, OFFCHAIN);
        require(!invalid, VenuePriceInvalid());
        return Fill(change, _paid(size, change, fillPrice.toInt256()) - fee.toInt256(), fee);
    }

    /* THE VAULT'S DOORS */

    /// @inheritdoc IPerpAdapter
    function bind() external {
        require(vault == address(0), AlreadyBound(vault));
        vault = msg.sender;
        emit Bound({vault: msg.sender});
    }

    /// @inheritdoc IDelayedAdapter
    /// @dev Orders are free of charge here, and margin moves without them: `release` and `payer` are not needed.
    function submit(int256 sizeDelta, uint256 assets, uint256, uint256 worstPrice, address) external payable {
        _requireVault();
        require(msg.value == 0, WrongFee(msg.value, 0));
        require(_sent.sizeDelta == 0, OrderExists(_sent.sizeDelta));
        if (assets > 0) market.transferMargin(assets.toInt256());
        if (sizeDelta != 0) {
            ISynthetixMarket.Position memory held = market.positions(address(this));
            sizeDelta = _cut(held.size, sizeDelta);
            _order(held, sizeDelta, worstPrice);
        }
        emit Submitted({sizeDelta: sizeDelta, assets: assets, worstPrice: worstPrice});
    }

    /// @inheritdoc IDelayedAdapter
    function settle(bytes[] calldata proof, address payer) external payable returns (Outcome memory outcome) {
        _requireVault();
        Sent memory sent = _sent;
        require(sent.sizeDelta != 0, NoOrder());
        _sent.sizeDelta = 0;
        uint256 value = msg.value;
        (Stage stage, ISynthetixMarket.Position memory held) = _look(sent);
        if (stage == Stage.FILLED) {
            outcome = _outcome(sent, held, false);
        } else if (stage == Stage.GONE) {
            outcome.before = _account(held, 0);
            outcome.fill = Fill(0, -int256(uint256(sent.deposit)), sent.deposit);
        } else if (block.timestamp >= _cancellableFrom(sent)) {
            market.cancelOffchainDelayedOrder(address(this));
            outcome.before = _account(market.positions(address(this)), 0);
        } else {
            value -= _execute(sent, proof);
            outcome = _outcome(sent, market.positions(address(this)), true);
        }
        emit Settled({size: outcome.fill.size, cash: outcome.fill.cash, fee: outcome.fill.fee, price: outcome.price});
        if (value > 0) payable(payer).sendValue(value);
    }

    /// @inheritdoc IPerpAdapter
    function withdraw(uint256 assets, address receiver) external {
        _requireVault();
        // A fill that is not settled is told from the margin, too.
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

    function _order(ISynthetixMarket.Position memory held, int256 sizeDelta, uint256 worstPrice) private {
        uint256 deposit = settings.minKeeperFee();
        if (held.size == 0) {
            // The venue would accept the order, take the deposit, and then never find enough margin to fill it.
            uint256 min = settings.minInitialMargin() + deposit;
            require(held.margin >= min, MarginShort(int256(uint256(held.margin)), min));
        }
        uint256 limit = worstPrice == 0 && sizeDelta > 0 ? type(uint128).max : worstPrice.toUint128();
        market.submitOffchainDelayedOrder(sizeDelta, limit);
        int256 cash = int256(uint256(held.margin));
        if (held.size != 0) {
            held = market.positions(address(this));
            cash = _cash(held) + deposit.toInt256();
        }
        (int256 premium, int256 premiumAfter) = _premiums(sizeDelta);
        _sent = Sent({
            sizeDelta: sizeDelta.toInt128(),
            deposit: deposit.toUint88(),
            time: block.timestamp.toUint40(),
            cash: cash.toInt128(),
            fundingIndex: held.lastFundingIndex,
            premium: ((premium + premiumAfter) / 2).toInt64()
        });
    }

    function _execute(Sent memory sent, bytes[] calldata proof) private returns (uint256 fee) {
        if (proof.length == 0) {
            uint256 fillableFrom = sent.time + settings.offchainDelayedOrderMinAge(_marketKey) + 1;
            revert OrderWaiting(block.timestamp, fillableFrom, _cancellableFrom(sent));
        }
        fee = exchangeRate.offchainOracle().getUpdateFee(proof);
        require(msg.value >= fee, WrongFee(msg.value, fee));
        market.executeOffchainDelayedOrder{value: fee}(address(this), proof);
    }

    /// @dev What became of an order that was filled.
    function _outcome(Sent memory sent, ISynthetixMarket.Position memory held, bool isOurs)
        private
        view
        returns (Outcome memory o)
    {
        bool isClosed = held.size == 0;
        uint256 index = isOurs && isClosed ? market.fundingSequenceLength() - 1 : _indexOf(sent, held);
        o.before = _before(sent, held.size, index);
        if (isOurs) {
            (o.price,) = exchangeRate.resolveAndGetLatestPrice(_baseAsset);
            o.reward = sent.deposit;
        }
        int256 fillPrice = int256(uint256(held.lastPrice));
        if (isClosed) {
            if (isOurs) {
                (int256 a, int256 b) = _premiums(-int256(sent.sizeDelta));
                int256 p = o.price.toInt256();
                fillPrice = (p + p * a / ONE + p + p * b / ONE) / 2;
            } else {
                int256 paid = int256(uint256(held.margin)) - o.before.cash + int256(uint256(sent.deposit));
                fillPrice = int256((paid * ONE / sent.sizeDelta).abs());
            }
        }
        if (!isOurs) o.price = uint256(fillPrice * ONE / (ONE + sent.premium));
        int256 cash = int256(uint256(held.margin)) - int256(held.size) * fillPrice / ONE - o.before.cash;
        int256 fee = _paid(o.before.size, sent.sizeDelta, fillPrice) - cash;
        o.fill = Fill(sent.sizeDelta, cash, uint256(SignedMath.max(fee, 0)));
    }

    /* INTERNALS */

    /// @dev Where the order is, and the position as the venue has it. A fill is an entry in a position that is still there.
    function _look(Sent memory sent) private view returns (Stage, ISynthetixMarket.Position memory held) {
        held = market.positions(address(this));
        if (sent.sizeDelta == 0) return (Stage.NONE, held);
        if (held.margin != 0 && held.lastFundingIndex != sent.fundingIndex) return (Stage.FILLED, held);
        return (market.delayedOrders(address(this)).sizeDelta == 0 ? Stage.GONE : Stage.WAITING, held);
    }

    /// @dev The account as it is, with what is in transit.
    function _account(ISynthetixMarket.Position memory held, uint256 transit) private view returns (Position memory) {
        int256 cash = _cash(held) + int256(transit);
        if (held.size != 0) {
            (int256 funding, bool invalid) = market.accruedFunding(address(this));
            require(!invalid, VenuePriceInvalid());
            cash += funding;
        }
        return Position(held.size, cash);
    }

    /// @dev The account at the moment of a fill at `index`, without the fill.
    function _before(Sent memory sent, int256 sizeNow, uint256 index) private view returns (Position memory p) {
        p = Position(sizeNow - sent.sizeDelta, sent.cash);
        if (p.size == 0) return p;
        int256 funding = int256(market.fundingSequence(index)) - market.fundingSequence(sent.fundingIndex);
        p.cash += p.size * funding / ONE;
    }

    /// @dev The entry of a fill in the funding sequence. With a position that was closed the venue forgets it: it is the first
    /// after the order, or at most the seconds of the order's life later.
    function _indexOf(Sent memory sent, ISynthetixMarket.Position memory held) private pure returns (uint256) {
        return held.size == 0 ? sent.fundingIndex + 1 : held.lastFundingIndex;
    }

    /// @dev By which parts of the index price the venue's is off it, before and after a trade.
    function _premiums(int256 sizeDelta) private view returns (int256, int256) {
        int256 skew = market.marketSkew();
        int256 scale = settings.skewScale(_marketKey).toInt256();
        return (skew * ONE / scale, (skew + sizeDelta) * ONE / scale);
    }

    function _cancellableFrom(Sent memory sent) private view returns (uint256) {
        return sent.time + settings.offchainDelayedOrderMaxAge(_marketKey) + 1;
    }

    /// @dev Without funding.
    function _cash(ISynthetixMarket.Position memory held) private pure returns (int256) {
        return int256(uint256(held.margin)) - int256(held.size) * int256(uint256(held.lastPrice)) / ONE;
    }

    /// @dev What a trade brings before its fee, in the venue's rounding.
    function _paid(int256 size, int256 sizeDelta, int256 fillPrice) private pure returns (int256) {
        return size * fillPrice / ONE - (size + sizeDelta) * fillPrice / ONE;
    }

    /// @dev `sizeDelta`, but not through zero.
    function _cut(int256 size, int256 sizeDelta) private pure returns (int256) {
        if (size > 0 ? sizeDelta < -size : size < 0 && sizeDelta > -size) return -size;
        return sizeDelta;
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
