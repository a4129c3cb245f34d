// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ILens} from "interfaces/ILens.sol";
import {IRequestQueue} from "interfaces/IRequestQueue.sol";
import {IQueuedVault} from "interfaces/IQueuedVault.sol";
import {ILeveragedVault} from "interfaces/ILeveragedVault.sol";

/// @title Reads many vaults in one call. Holds nothing, may do nothing.
/// @custom:stop Nothing to stop.
contract Lens is ILens {
    /// @inheritdoc ILens
    function reports(address[] calldata vaults) external view returns (Report[] memory list) {
        list = new Report[](vaults.length);
        for (uint256 i = 0; i < vaults.length; ++i) {
            // A call of its own, so that an address without code and an answer that is none are caught like a revert.
            try this.report(vaults[i]) returns (Report memory one) {
                list[i] = one;
            } catch (bytes memory failure) {
                list[i].vault = vaults[i];
                list[i].failure = failure;
            }
        }
    }

    /// @inheritdoc ILens
    function report(address vault) external view returns (Report memory one) {
        one.vault = vault;
        one.snapshot = ILeveragedVault(vault).snapshot();
        one.policy = ILeveragedVault(vault).terms().policy();
        // An instant vault has no queue to tell of.
        try IQueuedVault(vault).queue() returns (IRequestQueue) {
            one.isQueued = true;
            one.waiting = IQueuedVault(vault).waiting();
        } catch {}
    }
}
