// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IDelayedAdapter} from "interfaces/IDelayedAdapter.sol";
import {ILens} from "interfaces/ILens.sol";
import {IRequestQueue} from "interfaces/IRequestQueue.sol";
import {IQueuedVault} from "interfaces/IQueuedVault.sol";
import {ILeveragedVault} from "interfaces/ILeveragedVault.sol";
import {IPerpAdapter} from "interfaces/IPerpAdapter.sol";

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
                // Orders end and people leave without an index price, too.
                try this.waiting(vaults[i]) returns (Waiting memory w) {
                    (list[i].isQueued, list[i].waiting) = (true, w);
                } catch {}
            }
        }
    }

    /// @inheritdoc ILens
    function report(address vault) external view returns (Report memory one) {
        one.vault = vault;
        one.snapshot = ILeveragedVault(vault).snapshot();
        one.policy = ILeveragedVault(vault).terms().policy();
        // An instant vault has no queue to tell of.
        try IQueuedVault(vault).queue() returns (IRequestQueue queue) {
            one.isQueued = true;
            one.waiting = _waiting(IQueuedVault(vault), queue);
        } catch {}
    }

    /// @inheritdoc ILens
    function waiting(address vault) external view returns (Waiting memory) {
        return _waiting(IQueuedVault(vault), IQueuedVault(vault).queue());
    }

    function _waiting(IQueuedVault vault, IRequestQueue queue) private view returns (Waiting memory w) {
        uint256 since;
        w.order = IDelayedAdapter(address(vault.adapter())).order();
        (w.assets, w.shares, w.openedAt, since) = queue.next();
        if (w.openedAt == 0 || (since != 0 && since < w.openedAt)) w.openedAt = since;
        w.cashShort = vault.cashShort();
        // Not known while the venue has no price of its own.
        try vault.adapter().position() returns (IPerpAdapter.Position memory p) {
            w.isGone = p.size == 0 && vault.mark().size != 0;
        } catch {}
    }
}
