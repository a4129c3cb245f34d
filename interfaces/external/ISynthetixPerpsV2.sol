// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title What is called of Synthetix Perps V2. One interface per contract of the venue.
/// @dev Units: sizes, prices and sUSD 18 decimals; ages in seconds. `invalid` says that the venue would not use its price.
interface ISynthetixMarket {
    /// @param lastFundingIndex Entry of the funding sequence up to which funding is in `margin`; 0 without a position.
    /// @param margin Remaining margin when it was last written.
    /// @param lastPrice Price up to which profit is in `margin`: after a trade its fill price. 0 without a position.
    struct Position {
        uint64 id;
        uint64 lastFundingIndex;
        uint128 margin;
        uint128 lastPrice;
        int128 size;
    }

    /// @param sizeDelta 0 when there is no order.
    /// @param keeperDeposit Taken from the margin, for whoever executes or cancels the order.
    struct DelayedOrder {
        bool isOffchain;
        int128 sizeDelta;
        uint128 desiredFillPrice;
        uint128 targetRoundId;
        uint128 commitDeposit;
        uint128 keeperDeposit;
        uint256 executableAtTime;
        uint256 intentionTime;
        bytes32 trackingCode;
    }

    /// @notice Burns sUSD of the caller for margin, or mints it from there when negative.
    function transferMargin(int256 marginDelta) external;

    /// @param desiredFillPrice Limit on the fill price. Warning: the venue keeps its last 128 bits.
    function submitOffchainDelayedOrder(int256 sizeDelta, uint256 desiredFillPrice) external;

    function executeOffchainDelayedOrder(address account, bytes[] calldata priceUpdateData) external payable;

    function cancelOffchainDelayedOrder(address account) external;

    function positions(address account) external view returns (Position memory);

    function delayedOrders(address account) external view returns (DelayedOrder memory);

    /// @notice Funding since the position was last written, positive when it was received.
    function accruedFunding(address account) external view returns (int256 funding, bool invalid);

    /// @notice What can be withdrawn.
    function accessibleMargin(address account) external view returns (uint256 margin, bool invalid);

    /// @notice The index price.
    function assetPrice() external view returns (uint256 price, bool invalid);

    /// @notice Longs less shorts.
    function marketSkew() external view returns (int128);

    /// @notice Funding per unit of base from the beginning up to an entry.
    function fundingSequence(uint256 index) external view returns (int128);

    function fundingSequenceLength() external view returns (uint256);

    function marketKey() external view returns (bytes32);

    function baseAsset() external view returns (bytes32);

    /// @notice The contracts behind the proxy that this is.
    function getAllTargets() external view returns (address[] memory);
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

/// @notice Any contract of the venue that knows the others.
interface ISynthetixPart {
    function resolver() external view returns (ISynthetixResolver);
}

/// @notice A token's logic, which knows the address that holders know.
interface ISynthetixSynth {
    function proxy() external view returns (address);
}
