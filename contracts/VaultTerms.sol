// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {IAccessManager} from "@openzeppelin/contracts/access/manager/IAccessManager.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ILeveragedVault} from "interfaces/ILeveragedVault.sol";
import {IVaultTerms} from "interfaces/IVaultTerms.sol";
import {GUARDIAN_ROLE, KEEPER_ROLE} from "contracts/Authority.sol";
import {WAD} from "contracts/libraries/LeverageMath.sol";
import {PolicyBounds} from "contracts/libraries/PolicyBounds.sol";
import {RebalancePolicy} from "contracts/libraries/RebalancePolicy.sol";

/// @title What may change about one vault. Created by the vault; holds no money and cannot touch any.
/// @custom:stop The guardian stops mints and leverage-increasing trades for at most MAX_PAUSE, once until the timelock
/// rearms. Burns and de-leveraging cannot be stopped.
contract VaultTerms is AccessManaged, IVaultTerms {
    using RebalancePolicy for Policy;
    using SafeCast for uint256;

    uint256 public constant MAX_PAUSE = 7 days;

    /// @dev |target| and the venue's largest leverage, WAD: the policy is checked against both.
    uint256 private immutable _gearing;
    uint256 private immutable _venueMax;

    /// @inheritdoc IVaultTerms
    address public treasury;
    /// @dev Until when mints are stopped, and whether the guardian has its one pause left.
    uint40 private _pausedUntil;
    bool public isPauseArmed = true;
    /// @dev Integral of the management rate up to the last change of fees, WAD, and when that was.
    uint88 private _integral;
    uint40 private _since;
    Fees private _fees;
    Caps private _caps;
    Policy private _policy;

    constructor(
        address authority,
        uint256 gearing,
        uint256 venueMax,
        address treasury_,
        Policy memory policy_,
        Fees memory fees_,
        Caps memory caps_
    ) AccessManaged(authority) {
        require(authority != address(0), ZeroAddress());
        _gearing = gearing;
        _venueMax = venueMax;
        _setPolicy(policy_);
        _setFees(fees_);
        _setCaps(caps_);
        _setTreasury(treasury_);
    }

    /* VIEWS */

    /// @inheritdoc IVaultTerms
    function policy() external view returns (Policy memory) {
        return _policy;
    }

    /// @inheritdoc IVaultTerms
    function fees() external view returns (Fees memory) {
        return _fees;
    }

    /// @inheritdoc IVaultTerms
    function caps() external view returns (Caps memory) {
        return _caps;
    }

    /// @inheritdoc IVaultTerms
    function pausedUntil() external view returns (uint256) {
        return _pausedUntil;
    }

    /// @inheritdoc IVaultTerms
    function isKeeper(address account) external view returns (bool) {
        return _hasRole(KEEPER_ROLE, account);
    }

    /// @inheritdoc IVaultTerms
    function rates() external view returns (uint256, uint256, uint256, address) {
        Fees memory f = _fees;
        return (f.mint, f.burn, _integralAt(f.managementPerDay), treasury);
    }

    /// @inheritdoc IVaultTerms
    function rule(
        ILeveragedVault.Rebalancing calldata last,
        int256 target,
        uint256 price,
        int256 leverage,
        address caller
    ) external view returns (Ruling memory r) {
        Policy memory p = _policy;
        // The role matters in the exclusive seconds alone: nobody is looked up in the rest of the day.
        bool isKeeper = p.isExclusive(block.timestamp) && _hasRole(KEEPER_ROLE, caller);
        r.trigger = p.due(last, target, price, leverage, block.timestamp, isKeeper);
        r.bandMax = p.bandMax;
        r.tolerance = p.tolerance;
        r.slippage = p.slippage(leverage);
        r.maxSlippage = p.maxSlippage;
        r.emergencySlippage = p.emergencySlippage;
        r.tipRate = p.tipRate;
        r.tipCap = p.tipCap;
        r.minNotional = p.minNotional;
        r.maxNotional = p.maxNotional;
        if (last.time < p.slotStart(block.timestamp)) r.lateness = p.lateness(block.timestamp);
        r.pausedUntil = _pausedUntil;
    }

    /// @inheritdoc IVaultTerms
    function room(uint256 minted, uint256 held, uint256 scale)
        external
        view
        returns (uint256, uint256, uint256, uint256)
    {
        uint256 least = Math.max(1, Math.ceilDiv(_policy.minNotional * WAD, _gearing * scale));
        return (Math.saturatingSub(_caps.daily, minted), Math.saturatingSub(_caps.total, held), least, _pausedUntil);
    }

    /// @inheritdoc IVaultTerms
    function limits() external view returns (uint256, uint256, uint256, uint256) {
        return (_policy.bandMax, _caps.daily, _caps.total, _pausedUntil);
    }

    /* GUARDIAN */

    /// @inheritdoc IVaultTerms
    function pause(uint256 duration) external {
        _requireRole(GUARDIAN_ROLE);
        require(isPauseArmed, PauseNotArmed());
        require(duration <= MAX_PAUSE, PauseTooLong(duration, MAX_PAUSE));
        isPauseArmed = false;
        _pausedUntil = (block.timestamp + duration).toUint40();
        emit Paused({caller: msg.sender, until: _pausedUntil});
    }

    /// @inheritdoc IVaultTerms
    function resume() external {
        _requireRole(GUARDIAN_ROLE);
        _pausedUntil = 0;
        emit Resumed({caller: msg.sender});
    }

    /* TIMELOCK */

    /// @inheritdoc IVaultTerms
    function rearmPause() external restricted {
        isPauseArmed = true;
        emit PauseRearmed({caller: msg.sender});
    }

    /// @inheritdoc IVaultTerms
    function setPolicy(Policy calldata newPolicy) external restricted {
        _setPolicy(newPolicy);
    }

    /// @inheritdoc IVaultTerms
    function setFees(Fees calldata newFees) external restricted {
        _setFees(newFees);
    }

    /// @inheritdoc IVaultTerms
    function setCaps(Caps calldata newCaps) external restricted {
        _setCaps(newCaps);
    }

    /// @inheritdoc IVaultTerms
    function setTreasury(address newTreasury) external restricted {
        _setTreasury(newTreasury);
    }

    /* INTERNALS */

    function _setPolicy(Policy memory newPolicy) private {
        PolicyBounds.check(newPolicy, _gearing, _venueMax);
        _policy = newPolicy;
        emit PolicyChanged(newPolicy);
    }

    function _setFees(Fees memory newFees) private {
        PolicyBounds.check(newFees);
        _integral = _integralAt(_fees.managementPerDay).toUint88();
        _since = uint40(block.timestamp);
        _fees = newFees;
        emit FeesChanged(newFees);
    }

    function _setCaps(Caps memory newCaps) private {
        _caps = newCaps;
        emit CapsChanged(newCaps);
    }

    function _setTreasury(address newTreasury) private {
        require(newTreasury != address(0), ZeroAddress());
        treasury = newTreasury;
        emit TreasuryChanged(newTreasury);
    }

    function _integralAt(uint256 managementPerDay) private view returns (uint256) {
        return _integral + managementPerDay * (block.timestamp - _since) / 1 days;
    }

    function _hasRole(uint64 role, address account) private view returns (bool isMember) {
        (isMember,) = IAccessManager(authority()).hasRole(role, account);
    }

    function _requireRole(uint64 role) private view {
        require(_hasRole(role, msg.sender), OnlyRole(msg.sender, role));
    }
}
