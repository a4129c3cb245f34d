// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {MockAdapter} from "contracts/mocks/MockAdapter.sol";

/// @title A venue whose adapter does, in the middle of each trade, whatever its author wants: `strike` is its hook.
/// @dev Warning: for tests only. There is nothing to stop.
contract HostileAdapter is MockAdapter {
    struct Attack {
        address target;
        bytes data;
    }

    Attack[] private _attacks;
    uint256 public attempts;
    uint256 public successes;

    constructor(address asset_) MockAdapter(asset_) {}

    function plan(address target, bytes calldata data) external {
        _attacks.push(Attack(target, data));
    }

    function strike() external {
        for (uint256 i = 0; i < _attacks.length; ++i) {
            (bool isDone,) = _attacks[i].target.call(_attacks[i].data);
            ++attempts;
            if (isDone) ++successes;
        }
    }
}
