// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title Index price of one base asset in collateral, WAD.
/// @dev A price that cannot be used reverts with the reason and its numbers; it never reads 0.
interface IPriceOracle {
    error PriceNotPositive(int256 answer);
    error PriceStale(uint256 updatedAt, uint256 age, uint256 heartbeat);
    error PriceFromFuture(uint256 updatedAt, uint256 now_);
    error SequencerDown(uint256 since);
    error SequencerGracePeriod(uint256 since, uint256 gracePeriod);
    error PriceDeviates(uint256 price, uint256 venuePrice, uint256 maxDeviation);

    /// @notice Latest price that is positive, fresh, and (on a rollup) reported by a sequencer that is up past its grace period.
    function price() external view returns (uint256);

    /// @notice As `price()`, and within `maxDeviation` of the venue's own price.
    function priceNear(uint256 venuePrice) external view returns (uint256);

    /// @notice Largest accepted |venuePrice / price - 1|, WAD.
    function maxDeviation() external view returns (uint256);
}
