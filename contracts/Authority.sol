// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";

/// @dev May rebalance in the first seconds of a schedule. No execution delay.
uint64 constant KEEPER_ROLE = 1;
/// @dev May stop mints for a limited time. No execution delay.
uint64 constant GUARDIAN_ROLE = 2;
/// @dev May create tokens through the factory. Cannot touch an existing one.
uint64 constant CREATOR_ROLE = 3;

/// @title Who may do what: OpenZeppelin's AccessManager. Its admin role, held with an execution delay, is the timelock
/// in front of every setter of every vault.
contract Authority is AccessManager {
    constructor(address initialAdmin) AccessManager(initialAdmin) {}
}
