// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ILeveragedVault} from "interfaces/ILeveragedVault.sol";
import {IVaultTerms} from "interfaces/IVaultTerms.sol";

/// @title Reads many vaults in one call, for keepers and pages.
interface ILens {
    /// @param vault The vault read.
    /// @param snapshot Its snapshot, zero when `failure` is not empty.
    /// @param policy Its policy, for `decide()`.
    /// @param failure Revert data of a snapshot that could not be taken, such as a stale price.
    struct Report {
        address vault;
        ILeveragedVault.Snapshot snapshot;
        IVaultTerms.Policy policy;
        bytes failure;
    }

    /// @notice One report per vault. A vault that reverts is reported, and spoils nobody else's report.
    function reports(address[] calldata vaults) external view returns (Report[] memory);
}
