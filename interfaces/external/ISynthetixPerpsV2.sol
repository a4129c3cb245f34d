// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title What is called of Synthetix Perps V2. One interface per contract of the venue.
/// @dev Units: sizes, prices and sUSD 18 decimals; times in seconds. `invalid` says that the venue would not use its price.
/// @notice A market: the proxy that its accounts know.
interface ISynthetixMarket {
    /// @notice Burns sUSD of the caller for margin or, when negative, mints it from there.
    function transferMargin(int256 marginDelta) external;

    /// @param desiredFillPrice Limit on the fill price. Warning: the venue keeps its last 128 bits.
    function submitOffchainDelayedOrder(int256 sizeDelta, uint256 desiredFillPrice) external;

    function executeOffchainDelayedOrder(address account, bytes[] calldata priceUpdateData) external payable;

    function cancelOffchainDelayedOrder(address account) external;

    /// @notice What can be withdrawn.
    function accessibleMargin(address account) external view returns (uint256 margin, bool invalid);

    /// @notice The index price.
    function assetPrice() external view returns (uint256 price, bool invalid);

    function marketKey() external view returns (bytes32);

    function baseAsset() external view returns (bytes32);

    /// @return Again the selector.
    /// @return implementation The contract behind the proxy that answers it.
    function getRoute(bytes4 selector) external view returns (bytes4, address implementation);
}

/// @notice Any of the contracts behind a market's proxy.
interface ISynthetixPart {
    function marketState() external view returns (ISynthetixState);

    function resolver() external view returns (ISynthetixResolver);
}

/// @notice Where a market keeps what changes.
interface ISynthetixState {
    /// @param lastFundingIndex Entry of the funding sequence up to which funding is in `margin`; 0 without a position.
    /// @param margin What remained of the margin when the position was last written.
    /// @param lastPrice Price up to which profit is in `margin`: after a trade, its fill price. 0 without a position.
    struct Position {
        uint64 id;
        uint64 lastFundingIndex;
        uint128 margin;
        uint128 lastPrice;
        int128 size;
    }

    function positions(address account) external view returns (Position memory);

    /// @notice `sizeDelta` is 0 when there is no order. The venue returns more than this.
    function delayedOrders(address account) external view returns (bool isOffchain, int128 sizeDelta);

    /// @notice Longs less shorts.
    function marketSkew() external view returns (int128);

    /// @notice Funding per unit of base from the beginning up to an entry, positive when it was received.
    function fundingSequence(uint256 index) external view returns (int128);

    function fundingSequenceLength() external view returns (uint256);

    /// @notice When the last entry was made.
    function fundingLastRecomputed() external view returns (uint32);

    /// @notice The rate then, per day.
    function fundingRateLastRecomputed() external view returns (int128);
}

/// @notice Where the venue keeps its parameters, each under the name of the contract that sets it.
interface ISynthetixStore {
    function getUIntValue(bytes32 contractName, bytes32 record) external view returns (uint256);

    function getAddressValue(bytes32 contractName, bytes32 record) external view returns (address);

    function getBytes32Value(bytes32 contractName, bytes32 record) external view returns (bytes32);
}

interface ISynthetixResolver {
    function requireAndGetAddress(bytes32 name, string calldata reason) external view returns (address);
}

/// @notice A token's logic, which knows the address that holders know.
interface ISynthetixSynth {
    function proxy() external view returns (address);
}
