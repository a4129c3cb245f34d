// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {ILeveragedToken} from "interfaces/ILeveragedToken.sol";

/// @title A leveraged token: ERC-20 with ERC-2612. Its vault creates it, and alone mints and burns.
/// @custom:stop Cannot be stopped. Its vault's guardian can stop new mints for a limited time.
contract LeveragedToken is ERC20, ERC20Permit, ILeveragedToken {
    address private immutable _vault;
    address private immutable _entry;
    address private immutable _asset;

    constructor(string memory name_, string memory symbol_, address asset_, address entry_)
        ERC20(name_, symbol_)
        ERC20Permit(name_)
    {
        _vault = msg.sender;
        _entry = entry_;
        _asset = asset_;
    }

    modifier onlyVault() {
        require(msg.sender == _vault, OnlyVault(msg.sender, _vault));
        _;
    }

    /// @inheritdoc ILeveragedToken
    function vault() external view returns (address) {
        return _vault;
    }

    /// @notice ERC-7575: where `asset` buys shares, or zero.
    function vault(address asset) external view returns (address) {
        return asset == _asset ? _entry : address(0);
    }

    /// @inheritdoc IERC20Permit
    function nonces(address owner) public view override(ERC20Permit, IERC20Permit) returns (uint256) {
        return super.nonces(owner);
    }

    /// @inheritdoc ILeveragedToken
    function mint(address to, uint256 shares) external onlyVault {
        _mint(to, shares);
    }

    /// @inheritdoc ILeveragedToken
    function pull(address spender, address from, uint256 shares) external {
        require(msg.sender == _entry, OnlyVault(msg.sender, _entry));
        if (spender != from) _spendAllowance(from, spender, shares);
        _transfer(from, _entry, shares);
    }

    /// @inheritdoc ILeveragedToken
    function burn(address spender, address from, uint256 shares) external onlyVault {
        if (spender != from) _spendAllowance(from, spender, shares);
        _burn(from, shares);
    }
}
