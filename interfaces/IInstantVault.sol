// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC7575} from "interfaces/IERC7575.sol";
import {ILeveragedVault} from "interfaces/ILeveragedVault.sol";

/// @title A leveraged vault on a venue that fills in the same transaction: ERC-4626 with a separate share token.
/// @dev Previews are the same code as execution up to the trade, with the adapter's quote in place of the fill (I-8).
/// Entering needs a good price; leaving needs none (E-2).
interface IInstantVault is ILeveragedVault, IERC7575 {
    /// @notice As ERC-4626, and reverts when fewer than `minShares` come out or `deadline` has passed.
    function deposit(uint256 assets, address receiver, uint256 minShares, uint256 deadline)
        external
        returns (uint256 shares);
    /// @notice As ERC-4626, and reverts when more than `maxAssets` go in or `deadline` has passed.
    function mint(uint256 shares, address receiver, uint256 maxAssets, uint256 deadline)
        external
        returns (uint256 assets);
    /// @notice As ERC-4626, and reverts when more than `maxShares` are burnt or `deadline` has passed.
    function withdraw(uint256 assets, address receiver, address owner, uint256 maxShares, uint256 deadline)
        external
        returns (uint256 shares);
    /// @notice As ERC-4626, and reverts when less than `minAssets` come out or `deadline` has passed.
    function redeem(uint256 shares, address receiver, address owner, uint256 minAssets, uint256 deadline)
        external
        returns (uint256 assets);

    /// @notice Trade back to the target when a trigger is due (E-5, E-6). Anyone; the keeper role alone in the first
    /// `exclusive` seconds of a schedule. A late scheduled rebalance pays the caller a tip in shares.
    function rebalance() external returns (Trigger trigger, int256 size);
}
