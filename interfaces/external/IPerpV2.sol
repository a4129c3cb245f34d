// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title What is called of Perpetual Protocol v2. One interface per contract of the venue.
/// @dev Units: sizes, prices, notionals 18 decimals; the vault's amounts in the settlement token's; ratios 1e6 = 100 %.
interface IPerpClearingHouse {
    /// @param oppositeAmountBound Slippage check on the other amount; 0 for none.
    /// @param sqrtPriceLimitX96 The trade stops here without reverting; 0 for none.
    struct OpenPositionParams {
        address baseToken;
        bool isBaseToQuote;
        bool isExactInput;
        uint256 amount;
        uint256 oppositeAmountBound;
        uint256 deadline;
        uint160 sqrtPriceLimitX96;
        bytes32 referralCode;
    }

    /// @return base What changed hands.
    /// @return quote What was paid, fee included, or received, fee deducted.
    function openPosition(OpenPositionParams calldata params) external returns (uint256 base, uint256 quote);

    function getVault() external view returns (address);

    function getExchange() external view returns (address);

    function getAccountBalance() external view returns (address);

    function getClearingHouseConfig() external view returns (address);
}

interface IPerpVault {
    function deposit(address token, uint256 amount) external;

    function withdraw(address token, uint256 amount) external;

    /// @notice The cash ledger, without profit that is realised but not settled.
    function getBalance(address trader) external view returns (int256);

    /// @notice What `withdraw` would pay.
    function getFreeCollateralByToken(address trader, address token) external view returns (uint256);

    function getSettlementToken() external view returns (address);

    function decimals() external view returns (uint8);
}

interface IPerpAccountBalance {
    /// @notice Less than 10 wei reads 0.
    function getTakerPositionSize(address trader, address baseToken) external view returns (int256);

    /// @notice What was received for the position: negative for a long.
    function getTakerOpenNotional(address trader, address baseToken) external view returns (int256);

    function getPnlAndPendingFee(address trader)
        external
        view
        returns (int256 owedRealizedPnl, int256 unrealizedPnl, uint256 pendingFee);
}

interface IPerpExchange {
    /// @return Positive when the trader pays.
    function getPendingFundingPayment(address trader, address baseToken) external view returns (int256);

    function getMaxTickCrossedWithinBlock(address baseToken) external view returns (uint24);

    function getMarketRegistry() external view returns (address);
}

interface IPerpMarketRegistry {
    struct MarketInfo {
        address pool;
        uint24 exchangeFeeRatio;
        uint24 uniswapFeeRatio;
        uint24 insuranceFundFeeRatio;
        uint24 maxPriceSpreadRatio;
    }

    function getPool(address baseToken) external view returns (address);

    /// @notice With the trader's fee discount applied.
    function getMarketInfoByTrader(address trader, address baseToken) external view returns (MarketInfo memory);
}

interface IPerpClearingHouseConfig {
    /// @notice Margin to open a position, of its debt.
    function getImRatio() external view returns (uint24);
}
