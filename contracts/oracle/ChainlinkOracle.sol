// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {IAggregatorV3} from "interfaces/external/IAggregatorV3.sol";
import {IPriceOracle} from "interfaces/IPriceOracle.sol";

/// @title Index price from a Chainlink feed.
/// @notice Reads only, holds nothing, has no owner; anyone may call.
/// @custom:stop Nothing to stop. It stops by itself, by reverting, when the feed is late or its sequencer is down.
contract ChainlinkOracle is IPriceOracle {
    error ParameterOutOfBounds(bytes32 parameter, uint256 value, uint256 min, uint256 max);

    uint256 private constant WAD = 1e18;

    IAggregatorV3 public immutable feed;
    /// @notice Age in seconds after which an answer is stale.
    uint256 public immutable heartbeat;
    /// @inheritdoc IPriceOracle
    uint256 public immutable maxDeviation;
    /// @notice Uptime feed of a rollup's sequencer; zero where there is none.
    IAggregatorV3 public immutable sequencerFeed;
    /// @notice Seconds after the sequencer came back in which prices are not used yet.
    uint256 public immutable gracePeriod;

    uint256 private immutable _multiplier;
    uint256 private immutable _divisor;

    constructor(
        IAggregatorV3 feed_,
        uint256 heartbeat_,
        uint256 maxDeviation_,
        IAggregatorV3 sequencerFeed_,
        uint256 gracePeriod_
    ) {
        uint256 decimals = feed_.decimals();
        _within("decimals", decimals, 1, 36);
        _within("heartbeat", heartbeat_, 10 seconds, 2 days);
        _within("maxDeviation", maxDeviation_, 0.0005e18, 0.2e18);
        // A grace period without an uptime feed would never be looked at, so somebody forgot the feed.
        _within("gracePeriod", gracePeriod_, 0, address(sequencerFeed_) == address(0) ? 0 : 1 days);
        feed = feed_;
        heartbeat = heartbeat_;
        maxDeviation = maxDeviation_;
        sequencerFeed = sequencerFeed_;
        gracePeriod = gracePeriod_;
        _multiplier = decimals < 18 ? 10 ** (18 - decimals) : 1;
        _divisor = decimals > 18 ? 10 ** (decimals - 18) : 1;
    }

    /// @inheritdoc IPriceOracle
    function price() public view returns (uint256) {
        _requireSequencer();
        (, int256 answer,, uint256 updatedAt,) = feed.latestRoundData();
        require(updatedAt <= block.timestamp, PriceFromFuture(updatedAt, block.timestamp));
        uint256 age = block.timestamp - updatedAt;
        require(age <= heartbeat, PriceStale(updatedAt, age, heartbeat));
        require(answer > 0, PriceNotPositive(answer));
        uint256 scaled = uint256(answer) * _multiplier / _divisor;
        // Less than a wei after scaling down.
        require(scaled > 0, PriceNotPositive(answer));
        return scaled;
    }

    /// @inheritdoc IPriceOracle
    function priceNear(uint256 venuePrice) external view returns (uint256) {
        uint256 index = price();
        uint256 gap = venuePrice > index ? venuePrice - index : index - venuePrice;
        require(gap <= Math.mulDiv(index, maxDeviation, WAD), PriceDeviates(index, venuePrice, maxDeviation));
        return index;
    }

    function _requireSequencer() private view {
        if (address(sequencerFeed) == address(0)) return;
        (, int256 answer, uint256 since,,) = sequencerFeed.latestRoundData();
        // `since` is zero while the uptime feed has not heard from the other chain yet: nothing is known.
        require(answer == 0 && since != 0, SequencerDown(since));
        require(
            block.timestamp > since && block.timestamp - since > gracePeriod, SequencerGracePeriod(since, gracePeriod)
        );
    }

    function _within(bytes32 parameter, uint256 value, uint256 min, uint256 max) private pure {
        require(value >= min && value <= max, ParameterOutOfBounds(parameter, value, min, max));
    }
}
