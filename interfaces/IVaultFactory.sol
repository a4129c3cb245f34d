// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title Creates vaults and lists them.
interface IVaultFactory {
    event VaultCreated(bytes32 indexed key, address indexed vault, address indexed token, address adapter);

    error AlreadyCreated(bytes32 key, address vault);
    error AdapterNotBound(address adapter, address vault);
    error QueueNotBound(address queue, address vault);

    /// @notice Create an adapter and its vault in one transaction, and list the vault. The creator role only.
    /// @dev Both by CREATE2 with `key` as the salt, so that the vault's code may name the adapter's address.
    /// @param key keccak256 of the token's symbol; unique.
    /// @param adapterCode Creation code of the adapter with its arguments.
    /// @param queueCode Creation code of a queued vault's request queue; empty for an instant vault.
    /// @param vaultCode Creation code of the vault with its arguments.
    function create(bytes32 key, bytes calldata adapterCode, bytes calldata queueCode, bytes calldata vaultCode)
        external
        returns (address vault, address adapter, address queue);

    /// @notice Vault of a key, or zero.
    function vaultOf(bytes32 key) external view returns (address);
    /// @notice Number of vaults listed.
    function count() external view returns (uint256);
    /// @notice Vaults from `start`, at most `limit`, in order of creation.
    function vaults(uint256 start, uint256 limit) external view returns (address[] memory);
}
