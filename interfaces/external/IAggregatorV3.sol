// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title What is read of a Chainlink price feed, and of an L2 sequencer uptime feed.
interface IAggregatorV3 {
    function decimals() external view returns (uint8);

    /// @dev On an uptime feed `answer` 0 is up, 1 is down, and `startedAt` is when that began.
    function latestRoundData()
        external
        view
        returns (uint80 roundId, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound);
}
