// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IAccessManager} from "@openzeppelin/contracts/access/manager/IAccessManager.sol";
import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ILeveragedToken} from "interfaces/ILeveragedToken.sol";
import {ILeveragedVault} from "interfaces/ILeveragedVault.sol";
import {IPerpAdapter} from "interfaces/IPerpAdapter.sol";
import {IPriceOracle} from "interfaces/IPriceOracle.sol";
import {GUARDIAN_ROLE, KEEPER_ROLE} from "contracts/Authority.sol";
import {LeveragedToken} from "contracts/LeveragedToken.sol";
import {LeverageMath, VIRTUAL, WAD} from "contracts/libraries/LeverageMath.sol";
import {PolicyBounds} from "contracts/libraries/PolicyBounds.sol";
import {RebalancePolicy} from "contracts/libraries/RebalancePolicy.sol";

/// @title What every leveraged vault does alike: value, fees, ledger, policy, roles, ruin. How shares come and go is
/// left to InstantVault and its siblings.
/// @dev State-changing functions keep one rhythm: accrue, snapshot, compute, require, write, emit, interact. Where the
/// venue's fill must be known before the rest can be written, the call stands earlier, under the reentrancy guard.
/// @custom:stop The guardian stops mints and leverage-increasing trades for at most MAX_PAUSE, once until the timelock
/// rearms. Burns and de-leveraging cannot be stopped.
abstract contract LeveragedVault is ILeveragedVault, AccessManaged, ReentrancyGuardTransient {
    using LeverageMath for int256;
    using RebalancePolicy for Policy;
    using SafeCast for uint256;
    using SafeCast for int256;
    using SafeERC20 for IERC20;

    struct Config {
        string name;
        string symbol;
        int256 target;
        address adapter;
        address oracle;
        address authority;
        address treasury;
        Policy policy;
        Fees fees;
        Caps caps;
    }

    /// @dev The vault at one price at one moment; supply includes the management fee up to it.
    struct State {
        uint256 price;
        int256 size;
        int256 cash;
        int256 equity;
        uint256 supply;
    }

    /// @dev Small facts that change together, in one slot.
    struct Status {
        uint40 accruedAt;
        uint40 pausedUntil;
        bool isPauseArmed;
        bool isRuined;
        uint32 mintDay;
        uint128 minted;
    }

    uint256 public constant MAX_PAUSE = 7 days;
    /// @dev A tip never takes more than 1 bp of equity, however large its cap.
    uint256 internal constant TIP_SHARE = 10_000;

    ILeveragedToken public immutable token;
    IPerpAdapter public immutable adapter;
    IPriceOracle public immutable oracle;
    int256 public immutable target;
    address internal immutable _asset;
    /// @dev WAD per base unit of the asset.
    uint256 internal immutable _scale;

    /// @notice Receives the fees.
    address public treasury;
    /// @notice Mint and burn fees held here, in assets, until collected. Never part of equity.
    uint256 public feesOwed;
    Status internal _status;
    Fees internal _fees;
    Caps internal _caps;
    Policy internal _policy;
    /// @dev Last rebalance: the memory of the policy.
    Rebalancing internal _rebalancing;
    /// @dev Last booking: where the next change of nav is attributed from.
    Mark internal _mark;
    Attribution internal _attribution;

    constructor(Config memory config) AccessManaged(config.authority) {
        require(config.authority != address(0), ZeroAddress());
        uint256 gearing = uint256(config.target.abs());
        require(gearing >= WAD && gearing <= 5 * WAD, TargetOutOfRange(config.target));
        adapter = IPerpAdapter(config.adapter);
        oracle = IPriceOracle(config.oracle);
        target = config.target;
        _asset = adapter.asset();
        _scale = 10 ** (18 - IERC20Metadata(_asset).decimals());
        token = new LeveragedToken(config.name, config.symbol, _asset);
        _status = Status(block.timestamp.toUint40(), 0, true, false, 0, 0);
        _mark.nav = uint128(WAD);
        _setPolicy(config.policy);
        _setFees(config.fees);
        _setCaps(config.caps);
        _setTreasury(config.treasury);
        adapter.bind();
    }

    /* VIEWS */

    /// @inheritdoc ILeveragedVault
    function policy() external view returns (Policy memory) {
        return _policy;
    }

    /// @inheritdoc ILeveragedVault
    function fees() external view returns (Fees memory) {
        return _fees;
    }

    /// @inheritdoc ILeveragedVault
    function caps() external view returns (Caps memory) {
        return _caps;
    }

    /// @inheritdoc ILeveragedVault
    function mark() external view returns (Mark memory) {
        return _mark;
    }

    /// @inheritdoc ILeveragedVault
    function isRuined() external view returns (bool) {
        return _status.isRuined;
    }

    /// @inheritdoc ILeveragedVault
    function pausedUntil() external view returns (uint256) {
        return _status.pausedUntil;
    }

    /// @inheritdoc ILeveragedVault
    function isPauseArmed() external view returns (bool) {
        return _status.isPauseArmed;
    }

    /// @inheritdoc ILeveragedVault
    function mintedToday() public view returns (uint256) {
        return _status.mintDay == block.timestamp / 1 days ? _status.minted : 0;
    }

    /// @inheritdoc ILeveragedVault
    function equity() external view nonReentrantView returns (int256) {
        return _now().equity;
    }

    /// @inheritdoc ILeveragedVault
    function nav() external view nonReentrantView returns (uint256) {
        return _nav(_now());
    }

    /// @inheritdoc ILeveragedVault
    function leverage() external view nonReentrantView returns (int256) {
        return _leverage(_now());
    }

    /// @inheritdoc ILeveragedVault
    function snapshot() external view nonReentrantView returns (Snapshot memory) {
        State memory s = _now();
        return Snapshot({
            timestamp: block.timestamp,
            price: s.price,
            venuePrice: adapter.price(),
            size: s.size,
            equity: s.equity,
            supply: s.supply,
            nav: _nav(s),
            leverage: _leverage(s),
            target: target,
            rebalancing: _rebalancing,
            pausedUntil: _status.pausedUntil,
            ruined: _status.isRuined
        });
    }

    /// @inheritdoc ILeveragedVault
    function due(address caller) external view nonReentrantView returns (Trigger) {
        State memory s = _now();
        if (_status.isRuined || s.supply == 0) return Trigger.NONE;
        return _due(_policy, s, caller);
    }

    /// @inheritdoc ILeveragedVault
    function attribution() external view nonReentrantView returns (Attribution memory lines, uint256 nav_) {
        State memory s;
        (s, lines,) = _project(oracle.price());
        return (lines, _nav(s));
    }

    /* ANYONE */

    /// @inheritdoc ILeveragedVault
    function accrue() external nonReentrant {
        (State memory s, Attribution memory lines) = _accrue(oracle.price());
        _book(s, lines);
    }

    /// @inheritdoc ILeveragedVault
    function checkRuin() external nonReentrant returns (bool) {
        if (_status.isRuined || token.totalSupply() == 0) return _status.isRuined;
        IPerpAdapter.Position memory p = adapter.position();
        int256 left = p.cash;
        // A position that went without our doing was liquidated, at whatever price: no price is asked for.
        if (!_isGone(p.size)) {
            left = LeverageMath.equity(p.cash, p.size, oracle.price());
            if (left > 0) return false;
        }
        _status.isRuined = true;
        emit Ruined({equity: left, size: p.size});
        return true;
    }

    /// @inheritdoc ILeveragedVault
    function collectFees() external nonReentrant returns (uint256 assets) {
        assets = feesOwed;
        feesOwed = 0;
        emit FeesCollected({treasury: treasury, assets: assets});
        IERC20(_asset).safeTransfer(treasury, assets);
    }

    /* GUARDIAN */

    /// @inheritdoc ILeveragedVault
    function pause(uint256 duration) external {
        _requireRole(GUARDIAN_ROLE);
        require(_status.isPauseArmed, PauseNotArmed());
        require(duration <= MAX_PAUSE, PauseTooLong(duration, MAX_PAUSE));
        _status.isPauseArmed = false;
        _status.pausedUntil = (block.timestamp + duration).toUint40();
        emit Paused({caller: msg.sender, until: _status.pausedUntil});
    }

    /// @inheritdoc ILeveragedVault
    function resume() external {
        _requireRole(GUARDIAN_ROLE);
        _status.pausedUntil = 0;
        emit Resumed({caller: msg.sender});
    }

    /* TIMELOCK */

    /// @inheritdoc ILeveragedVault
    function rearmPause() external restricted {
        _status.isPauseArmed = true;
        emit PauseRearmed({caller: msg.sender});
    }

    /// @inheritdoc ILeveragedVault
    function setPolicy(Policy calldata newPolicy) external restricted {
        _setPolicy(newPolicy);
    }

    /// @inheritdoc ILeveragedVault
    function setFees(Fees calldata newFees) external restricted nonReentrant {
        // The past is charged at the old rate; the last price will do, since the fee is shares and needs none (I-7).
        (State memory s, Attribution memory lines) = _accrue(_mark.price);
        _book(s, lines);
        _setFees(newFees);
    }

    /// @inheritdoc ILeveragedVault
    function setCaps(Caps calldata newCaps) external restricted {
        _setCaps(newCaps);
    }

    /// @inheritdoc ILeveragedVault
    function setTreasury(address newTreasury) external restricted {
        _setTreasury(newTreasury);
    }

    function _setPolicy(Policy memory newPolicy) private {
        PolicyBounds.check(newPolicy, uint256(target.abs()), adapter.maxLeverage());
        _policy = newPolicy;
        emit PolicyChanged(newPolicy);
    }

    function _setFees(Fees memory newFees) private {
        PolicyBounds.check(newFees);
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

    /* LEDGER */

    /// @dev The vault at `price` now, the ledger as it would be booked, and the management fee since the last accrual.
    function _project(uint256 price)
        internal
        view
        returns (State memory s, Attribution memory lines, uint256 feeShares)
    {
        IPerpAdapter.Position memory p = adapter.position();
        uint256 supply = token.totalSupply();
        s = State(price, p.size, p.cash, LeverageMath.equity(p.cash, p.size, price), supply);
        // Nobody's nav: the ledger begins anew with the next holder.
        if (supply == 0) return (s, lines, 0);

        lines = _attribution;
        Mark memory from = _mark;
        int256 shares = int256(supply + VIRTUAL);
        int256 byPrice = from.size * (int256(price) - int256(uint256(from.price))) / shares;
        int256 byCash =
            (p.cash - from.cash + LeverageMath.notional(p.size - from.size, price)) * int256(WAD) / shares;
        int256 before = int256(LeverageMath.nav(s.equity, supply));
        int256 residual = before - int256(uint256(from.nav)) - byPrice - byCash;
        // Holders lose no more than nav: what a ruined vault owes beyond it is the venue's, and not rounding.
        if (before == 0 || from.nav == 0) byPrice += residual;
        else lines.rounding += residual.toInt128();
        lines.price += byPrice.toInt128();
        // Only the venue itself can have changed the size since the last booking: by liquidation.
        if (p.size == from.size) lines.funding += byCash.toInt128();
        else lines.slippage += byCash.toInt128();

        feeShares =
            LeverageMath.managementShares(supply, _fees.managementPerDay, block.timestamp - _status.accruedAt);
        s.supply += feeShares;
        lines.managementFee += (int256(_nav(s)) - before).toInt128();
    }

    /// @dev Charge the management fee up to now. The caller books the lines when it knows the rest.
    function _accrue(uint256 price) internal returns (State memory s, Attribution memory lines) {
        uint256 feeShares;
        (s, lines, feeShares) = _project(price);
        _status.accruedAt = uint40(block.timestamp);
        if (feeShares > 0) {
            token.mint(treasury, feeShares);
            emit Accrued({feeShares: feeShares, supply: s.supply});
        }
    }

    /// @dev Write the ledger: whatever the lines do not explain of the new nav is rounding.
    function _book(State memory s, Attribution memory lines) internal {
        if (s.supply == 0) lines = Attribution(0, 0, 0, 0, 0, 0);
        uint256 nav_ = _nav(s);
        int256 explained = int256(WAD) + lines.price + lines.funding + lines.venueFee + lines.slippage
            + lines.managementFee + lines.rounding;
        lines.rounding += (int256(nav_) - explained).toInt128();
        _attribution = lines;
        _mark = Mark(nav_.toUint128(), s.price.toUint128(), s.size.toInt128(), s.cash.toInt128());
        emit Booked({nav: nav_, price: s.price, attribution: lines});
    }

    /* INTERNALS */

    function _now() internal view returns (State memory s) {
        (s,,) = _project(oracle.price());
    }

    function _nav(State memory s) internal pure returns (uint256) {
        return LeverageMath.nav(s.equity, s.supply);
    }

    function _leverage(State memory s) internal pure returns (int256) {
        return LeverageMath.leverage(s.size, s.price, s.equity);
    }

    function _due(Policy memory policy_, State memory s, address caller) internal view returns (Trigger) {
        return policy_.due(
            _rebalancing, target, s.price, _leverage(s), block.timestamp, _hasRole(KEEPER_ROLE, caller)
        );
    }

    /// @dev Whether the venue closed the position: we hold shares against a size that is no longer there.
    function _isGone(int256 size) internal view returns (bool) {
        return size == 0 && _mark.size != 0;
    }

    function _hasRole(uint64 role, address account) internal view returns (bool isMember) {
        (isMember,) = IAccessManager(authority()).hasRole(role, account);
    }

    function _requireRole(uint64 role) private view {
        require(_hasRole(role, msg.sender), OnlyRole(msg.sender, role));
    }

    function _requireNotPaused() internal view {
        require(block.timestamp >= _status.pausedUntil, MintsPaused(_status.pausedUntil));
    }

    /// @dev E-7: what may come in. Leverage beyond the band must be brought back first, which anyone may do.
    function _requireOpen(State memory s, uint256 assets) internal view {
        _requireNotPaused();
        require(!_status.isRuined, VaultRuined());
        if (s.supply > 0) {
            require(!_isGone(s.size), PositionGone(s.size, _mark.size));
            require(s.equity > 0, Underwater(s.equity));
            int256 leverage_ = _leverage(s);
            require(uint256(leverage_.abs()) <= _policy.bandMax, LeverageTooHigh(leverage_, _policy.bandMax));
        }
        Caps memory caps_ = _caps;
        uint256 minted = mintedToday();
        require(minted + assets <= caps_.daily, DailyCapExceeded(assets, caps_.daily - Math.min(minted, caps_.daily)));
        uint256 after_ = _held(s) + assets;
        require(after_ <= caps_.total, TotalCapExceeded(after_, caps_.total));
    }

    /// @dev Equity in assets, 0 when there is no share: what lies in an empty vault counts against no cap.
    function _held(State memory s) internal view returns (uint256) {
        return s.supply == 0 || s.equity <= 0 ? 0 : uint256(s.equity) / _scale;
    }

    function _countMinted(uint256 assets) internal {
        uint256 minted = mintedToday() + assets;
        _status.mintDay = uint32(block.timestamp / 1 days);
        _status.minted = minted.toUint128();
    }
}
