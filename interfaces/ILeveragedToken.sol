// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {IERC7575Share} from "interfaces/IERC7575.sol";

/// @title A leveraged token: 18 decimals, one share of one vault.
/// @dev Transfers are never restricted, not even when the vault is ruined: a token stays a claim on what is left.
interface ILeveragedToken is IERC20Metadata, IERC20Permit, IERC7575Share {
    error OnlyVault(address caller, address vault);

    /// @notice The vault that alone mints and burns.
    function vault() external view returns (address);

    /// @notice Create shares. Only the vault.
    function mint(address to, uint256 shares) external;

    /// @notice Move shares of `from` to where shares are taken back, spending the allowance of `spender` when it is somebody
    /// else. Only that contract: the vault, or its request queue.
    function pull(address spender, address from, uint256 shares) external;

    /// @notice Destroy shares of `from`, spending the allowance of `spender` when it is somebody else. Only the vault.
    function burn(address spender, address from, uint256 shares) external;
}
