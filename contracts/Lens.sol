// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ILens} from "interfaces/ILens.sol";
import {ILeveragedVault} from "interfaces/ILeveragedVault.sol";

/// @title Reads many vaults in one call. Holds nothing, may do nothing.
/// @custom:stop Nothing to stop.
contract Lens is ILens {
    /// @inheritdoc ILens
    function reports(address[] calldata vaults) external view returns (Report[] memory list) {
        list = new Report[](vaults.length);
        for (uint256 i = 0; i < vaults.length; ++i) {
            list[i].vault = vaults[i];
            try ILeveragedVault(vaults[i]).snapshot() returns (ILeveragedVault.Snapshot memory snapshot) {
                list[i].snapshot = snapshot;
                list[i].policy = ILeveragedVault(vaults[i]).terms().policy();
            } catch (bytes memory failure) {
                list[i].failure = failure;
            }
        }
    }
}
