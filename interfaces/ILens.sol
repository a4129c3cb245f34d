// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ILeveragedVault} from "interfaces/ILeveragedVault.sol";
import {IDelayedAdapter} from "interfaces/IDelayedAdapter.sol";
import {IVaultTerms} from "interfaces/IVaultTerms.sol";

/// @title Reads many vaults in one call, for keepers and pages.
interface ILens {
    /// @notice What a keeper needs to know beside the snapshot.
    /// @param order The order at the venue.
    /// @param assets Deposits that wait for the next commit.
    /// @param shares Redemptions that wait for the next commit.
    /// @param openedAt When the first of them was made; 0 when there are none.
    /// @param cashShort Assets of payouts that the venue has not released yet.
    /// @param isGone Whether the venue has taken the position away.
    struct Waiting {
        IDelayedAdapter.Order order;
        uint256 assets;
        uint256 shares;
        uint256 openedAt;
        uint256 cashShort;
        bool isGone;
    }

    /// @param vault The vault read.
    /// @param snapshot Its snapshot; all zero, its timestamp too, when it could not be taken.
    /// @param policy Its policy, for `decide()`.
    /// @param isQueued Whether, as far as it could be told, the venue fills later and users come and go through a queue.
    /// @param waiting What waits in it, also where no snapshot could be taken; empty for an instant vault.
    /// @param failure Revert data of a snapshot that could not be taken, such as a stale price; empty when there was none.
    struct Report {
        address vault;
        ILeveragedVault.Snapshot snapshot;
        IVaultTerms.Policy policy;
        bool isQueued;
        Waiting waiting;
        bytes failure;
    }

    /// @notice One report per vault. A vault that reverts is reported, and spoils nobody else's report.
    function reports(address[] calldata vaults) external view returns (Report[] memory);
    /// @notice The report of one vault; reverts with the vault's reason.
    function report(address vault) external view returns (Report memory);
    /// @notice What waits in a queued vault's queue and at its venue.
    function waiting(address vault) external view returns (Waiting memory);
}
