// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {MockERC20} from "contracts/mocks/MockERC20.sol";

/// @title Collateral that calls somebody in the middle of each transfer, as ERC-777 does.
/// @dev Warning: for tests only. There is nothing to stop.
contract HookToken is MockERC20 {
    address private _hook;

    constructor() MockERC20("Collateral that calls", "HOOK", 6) {}

    /// @notice Call `hook` in each transfer; zero stops it.
    function setHook(address hook) external {
        _hook = hook;
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (_hook == address(0) || from == address(0)) return;
        (bool isDone,) = _hook.call("");
        require(isDone);
    }
}

/// @title Collateral that keeps a hundredth of each transfer.
/// @dev Warning: for tests only. There is nothing to stop.
contract FeeToken is MockERC20 {
    constructor() MockERC20("Collateral that takes a cut", "FEE", 6) {}

    function _update(address from, address to, uint256 value) internal override {
        bool isTransfer = from != address(0) && to != address(0);
        super._update(from, to, value);
        if (isTransfer) super._update(to, address(0), value / 100);
    }
}

/// @title Collateral whose functions return nothing, as USDT's.
/// @dev Warning: for tests only. There is nothing to stop. Refuses to change an allowance that is not zero, too.
contract NoReturnToken {
    uint8 public constant decimals = 6;
    mapping(address account => uint256 amount) public balanceOf;
    mapping(address account => mapping(address spender => uint256 amount)) public allowance;

    function mint(address account, uint256 amount) external {
        balanceOf[account] += amount;
    }

    function approve(address spender, uint256 amount) external {
        require(amount == 0 || allowance[msg.sender][spender] == 0, "approve to zero first");
        allowance[msg.sender][spender] = amount;
    }

    function transfer(address to, uint256 amount) external {
        balanceOf[msg.sender] -= amount;
        balanceOf[to] += amount;
    }

    function transferFrom(address from, address to, uint256 amount) external {
        allowance[from][msg.sender] -= amount;
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
    }
}
