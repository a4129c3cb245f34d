// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title Test token with the habits of real ones, each switched on by the tester
/// @notice Keeps a cut of transfers, returns nothing, wants allowances cleared first, blocks accounts, has any decimals.
/// @dev Warning: for tests only, anybody may set anything. There is nothing to stop: no owner, no pause.
contract MockOddERC20 {
    error Blocked(address account);
    error ClearAllowanceFirst(uint256 allowance);

    uint8 public decimals;
    /// @notice Part of a transfer that is lost, WAD fraction.
    uint256 public cut;
    /// @notice Whether its functions return nothing, as USDT's.
    bool public isSilent;
    mapping(address account => bool) public isBlocked;
    mapping(address account => uint256) public balanceOf;
    mapping(address account => mapping(address spender => uint256)) public allowance;

    constructor(uint8 decimals_) {
        decimals = decimals_;
    }

    function setDecimals(uint8 newDecimals) external {
        decimals = newDecimals;
    }

    function setCut(uint256 newCut) external {
        cut = newCut;
    }

    function setSilent(bool newSilent) external {
        isSilent = newSilent;
    }

    function setBlocked(address account, bool newBlocked) external {
        isBlocked[account] = newBlocked;
    }

    function mint(address account, uint256 amount) external {
        balanceOf[account] += amount;
    }

    function approve(address spender, uint256 amount) external returns (bool) {
        uint256 left = allowance[msg.sender][spender];
        require(amount == 0 || left == 0, ClearAllowanceFirst(left));
        allowance[msg.sender][spender] = amount;
        return _answer();
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        _move(msg.sender, to, amount);
        return _answer();
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        allowance[from][msg.sender] -= amount;
        _move(from, to, amount);
        return _answer();
    }

    function _move(address from, address to, uint256 amount) private {
        require(!isBlocked[from], Blocked(from));
        require(!isBlocked[to], Blocked(to));
        balanceOf[from] -= amount;
        balanceOf[to] += amount - amount * cut / 1e18;
    }

    function _answer() private view returns (bool) {
        if (isSilent) {
            assembly ("memory-safe") {
                return(0, 0)
            }
        }
        return true;
    }
}
