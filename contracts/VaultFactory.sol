// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {Create2} from "@openzeppelin/contracts/utils/Create2.sol";
import {ILeveragedVault} from "interfaces/ILeveragedVault.sol";
import {IPerpAdapter} from "interfaces/IPerpAdapter.sol";
import {IQueuedVault} from "interfaces/IQueuedVault.sol";
import {IRequestQueue} from "interfaces/IRequestQueue.sol";
import {IVaultFactory} from "interfaces/IVaultFactory.sol";

/// @title Creates vaults and lists them. It has no power over a vault once created.
/// @custom:stop The timelock revokes the creator role; vaults already listed are not touched by anything here.
contract VaultFactory is AccessManaged, IVaultFactory {
    /// @inheritdoc IVaultFactory
    mapping(bytes32 key => address vault) public vaultOf;
    /// @dev In order of creation; never shrinks.
    address[] private _vaults;

    constructor(address authority) AccessManaged(authority) {}

    /// @inheritdoc IVaultFactory
    function count() external view returns (uint256) {
        return _vaults.length;
    }

    /// @inheritdoc IVaultFactory
    function vaults(uint256 start, uint256 limit) external view returns (address[] memory page) {
        uint256 length = _vaults.length;
        uint256 size = start >= length ? 0 : length - start;
        page = new address[](size < limit ? size : limit);
        for (uint256 i = 0; i < page.length; ++i) {
            page[i] = _vaults[start + i];
        }
    }

    /// @inheritdoc IVaultFactory
    function create(bytes32 key, bytes calldata adapterCode, bytes calldata queueCode, bytes calldata vaultCode)
        external
        restricted
        returns (address vault, address adapter, address queue)
    {
        require(vaultOf[key] == address(0), AlreadyCreated(key, vaultOf[key]));
        adapter = Create2.deploy(0, key, adapterCode);
        if (queueCode.length > 0) queue = Create2.deploy(0, key, queueCode);
        vault = Create2.deploy(0, key, vaultCode);
        bool isBound = address(ILeveragedVault(vault).adapter()) == adapter && IPerpAdapter(adapter).vault() == vault;
        require(isBound, AdapterNotBound(adapter, vault));
        if (queue != address(0)) {
            isBound = address(IQueuedVault(vault).queue()) == queue && IRequestQueue(queue).vault() == vault;
            require(isBound, QueueNotBound(queue, vault));
        }

        vaultOf[key] = vault;
        _vaults.push(vault);
        emit VaultCreated({key: key, vault: vault, token: address(ILeveragedVault(vault).token()), adapter: adapter});
    }
}
