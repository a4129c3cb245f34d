// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

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
import {IVaultTerms} from "interfaces/IVaultTerms.sol";
import {LeveragedToken} from "contracts/LeveragedToken.sol";
import {LeverageMath, VIRTUAL, WAD} from "contracts/libraries/LeverageMath.sol";
import {VaultTerms} from "contracts/VaultTerms.sol";

/// @title What every leveraged vault does alike: value, fees, ledger, policy, roles, ruin. How shares come and go is
/// left to InstantVault and its siblings.
/// @dev State-changing functions keep one rhythm: accrue, snapshot, compute, require, write, emit, interact. Where the
/// venue's fill must be known before the rest can be written, the call stands earlier, under the reentrancy guard.
/// @custom:stop Through its terms: the guardian stops mints and leverage-increasing trades for at most MAX_PAUSE, once until the timelock
/// rearms. Burns and de-leveraging cannot be stopped.
abstract contract LeveragedVault is ILeveragedVault, ReentrancyGuardTransient {
    using LeverageMath for int256;
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
        IVaultTerms.Policy policy;
        IVaultTerms.Fees fees;
        IVaultTerms.Caps caps;
    }

    /// @dev The vault at one price at one moment; supply includes the management fee up to it.
    struct State {
        uint256 price;
        int256 size;
        int256 cash;
        int256 equity;
        uint256 supply;
        uint256 mintFee;
        uint256 burnFee;
    }

    /// @dev A management fee that is due, and where the integral of its rate stands.
    struct Due {
        uint256 shares;
        uint256 managementIntegral;
        address treasury;
    }

    /// @dev Small facts that change together, in one slot.
    struct Status {
        uint88 managementIntegral;
        bool isRuined;
        uint32 mintDay;
        uint128 minted;
    }

    /// @dev A tip never takes more than 1 bp of equity, however large its cap.
    uint256 internal constant TIP_SHARE = 10_000;

    ILeveragedToken public immutable token;
    IPerpAdapter public immutable adapter;
    IPriceOracle public immutable oracle;
    IVaultTerms public immutable terms;
    int256 public immutable target;
    address internal immutable _asset;
    /// @dev WAD per base unit of the asset.
    uint256 internal immutable _scale;

    /// @notice Mint and burn fees held here, in assets, until collected. Never part of equity.
    uint256 public feesOwed;
    Status internal _status;
    /// @dev Last rebalance: the memory of the policy.
    Rebalancing internal _rebalancing;
    /// @dev Last booking: where the next change of nav is attributed from.
    Mark internal _mark;
    Attribution internal _attribution;

    /// @param entry Where shares are issued and taken back, for the token's ERC-7575 way back; zero for the vault itself.
    constructor(Config memory config, address entry) {
        uint256 gearing = uint256(config.target.abs());
        require(gearing >= WAD && gearing <= 5 * WAD, TargetOutOfRange(config.target));
        adapter = IPerpAdapter(config.adapter);
        oracle = IPriceOracle(config.oracle);
        target = config.target;
        _asset = adapter.asset();
        uint256 decimals = IERC20Metadata(_asset).decimals();
        require(decimals <= 18, UnsupportedDecimals(decimals, 18));
        _scale = 10 ** (18 - decimals);
        token = new LeveragedToken(config.name, config.symbol, _asset, entry == address(0) ? address(this) : entry);
        terms = new VaultTerms(
            config.authority, gearing, adapter.maxLeverage(), config.treasury, config.policy, config.fees, config.caps
        );
        _mark.nav = uint128(WAD);
        adapter.bind();
    }

    /* VIEWS */

    /// @inheritdoc ILeveragedVault
    function mark() external view returns (Mark memory) {
        return _mark;
    }

    /// @inheritdoc ILeveragedVault
    function isRuined() external view returns (bool) {
        return _status.isRuined;
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
            pausedUntil: terms.pausedUntil(),
            ruined: _status.isRuined
        });
    }

    /// @inheritdoc ILeveragedVault
    function due(address caller) external view nonReentrantView returns (Trigger) {
        State memory s = _now();
        if (_status.isRuined || s.supply == 0) return Trigger.NONE;
        return _rule(s, caller).trigger;
    }

    /// @inheritdoc ILeveragedVault
    function attribution() external view nonReentrantView returns (Attribution memory lines, uint256 nav_) {
        State memory s;
        (s, lines,) = _project(_position(), oracle.price());
        return (lines, _nav(s));
    }

    /* ANYONE */

    /// @inheritdoc ILeveragedVault
    function accrue() external nonReentrant {
        (State memory s, Attribution memory lines) = _accrue(_position(), oracle.price());
        _book(s, lines);
    }

    /// @inheritdoc ILeveragedVault
    function checkRuin() external nonReentrant returns (bool) {
        if (_status.isRuined || token.totalSupply() == 0) return _status.isRuined;
        IPerpAdapter.Position memory p = _position();
        int256 left = p.cash;
        // Where the position is gone no price is asked for.
        if (!_isGone(p.size)) {
            left = LeverageMath.equity(p.cash, p.size, oracle.price());
            if (left > 0) return false;
        }
        _ruin(left, p.size);
        return true;
    }

    /// @inheritdoc ILeveragedVault
    function collectFees() external nonReentrant returns (uint256 assets) {
        assets = feesOwed;
        feesOwed = 0;
        address treasury = terms.treasury();
        emit FeesCollected({treasury: treasury, assets: assets});
        _pay(treasury, assets);
    }

    /* LEDGER */

    /// @dev The holders' part of what the vault owns: whatever else it holds or owes is not theirs.
    function _position() internal view virtual returns (IPerpAdapter.Position memory) {
        return adapter.position();
    }

    /// @dev The vault with `p` at `price`, without what the terms have to say.
    function _value(IPerpAdapter.Position memory p, uint256 price) internal view returns (State memory s) {
        s.price = price;
        s.size = p.size;
        s.cash = p.cash;
        s.equity = LeverageMath.equity(p.cash, p.size, price);
        s.supply = token.totalSupply();
    }

    /// @dev The rates, and the management fee since the last accrual, which the supply then includes.
    function _charge(State memory s) internal view returns (Due memory fee) {
        (s.mintFee, s.burnFee, fee.managementIntegral, fee.treasury) = terms.rates();
        fee.shares = LeverageMath.managementShares(s.supply, fee.managementIntegral - _status.managementIntegral);
        s.supply += fee.shares;
    }

    /// @dev The same with the ledger as it would be booked.
    function _project(IPerpAdapter.Position memory p, uint256 price)
        internal
        view
        returns (State memory s, Attribution memory lines, Due memory fee)
    {
        s = _value(p, price);
        fee = _charge(s);
        // Nobody's nav: the ledger begins anew with the next holder.
        if (s.supply == 0) return (s, lines, fee);

        lines = _attribution;
        s.supply -= fee.shares;
        int256 before = _explain(s, lines);
        s.supply += fee.shares;
        lines.managementFee += (int256(_nav(s)) - before).toInt128();
    }

    /// @dev Attribute the change of nav since the last booking; returns nav before the management fee (E-9).
    function _explain(State memory s, Attribution memory lines) private view returns (int256 nav_) {
        Mark memory from = _mark;
        int256 shares = int256(s.supply + VIRTUAL);
        int256 byPrice = from.size * (int256(s.price) - int256(uint256(from.price))) / shares;
        int256 moved = s.cash - from.cash + LeverageMath.notional(s.size - from.size, s.price);
        int256 byCash = moved * int256(WAD) / shares;
        nav_ = int256(_nav(s));
        int256 residual = nav_ - int256(uint256(from.nav)) - byPrice - byCash;
        // Holders lose no more than nav: what a ruined vault owes beyond it is the venue's, and not rounding.
        if (nav_ == 0 || from.nav == 0) byPrice += residual;
        else lines.rounding += residual.toInt128();
        lines.price += byPrice.toInt128();
        // Only the venue itself can have changed the size since the last booking: by liquidation.
        if (s.size == from.size) lines.funding += byCash.toInt128();
        else lines.slippage += byCash.toInt128();
    }

    /// @dev Charge the management fee up to now. The caller books the lines when it knows the rest.
    function _accrue(IPerpAdapter.Position memory p, uint256 price)
        internal
        returns (State memory s, Attribution memory lines)
    {
        Due memory fee;
        (s, lines, fee) = _project(p, price);
        _status.managementIntegral = uint88(fee.managementIntegral);
        // Before the next booking forgets that there was a position.
        if (s.supply > 0 && !_status.isRuined && _isGone(s.size)) _ruin(s.equity, s.size);
        if (fee.shares > 0) {
            token.mint(fee.treasury, fee.shares);
            emit Accrued({feeShares: fee.shares, supply: s.supply});
        }
    }

    /// @dev Write the ledger: whatever the lines do not explain of the new nav is rounding.
    function _book(State memory s, Attribution memory lines) internal {
        if (s.supply == 0) lines = Attribution(0, 0, 0, 0, 0, 0);
        uint256 nav_ = _nav(s);
        int256 explained = int256(WAD) + lines.price + lines.funding + lines.venueFee + lines.slippage
            + lines.managementFee + lines.rounding;
        int128 residual = (int256(nav_) - explained).toInt128();
        // A fill that left less than nothing cost the holders no more than nav: the rest is the venue's, and not rounding.
        if (nav_ == 0) lines.slippage += residual;
        else lines.rounding += residual;
        _attribution = lines;
        _mark = Mark(nav_.toUint128(), s.price.toUint128(), s.size.toInt128(), s.cash.toInt128());
        emit Booked({nav: nav_, price: s.price, attribution: lines});
    }

    /* INTERNALS */

    /// @dev Collateral that lies here goes to `receiver`.
    function _pay(address receiver, uint256 assets) internal virtual {
        IERC20(_asset).safeTransfer(receiver, assets);
    }

    function _now() internal view returns (State memory s) {
        s = _value(_position(), oracle.price());
        _charge(s);
    }

    function _nav(State memory s) internal pure returns (uint256) {
        return LeverageMath.nav(s.equity, s.supply);
    }

    function _leverage(State memory s) internal pure returns (int256) {
        return LeverageMath.leverage(s.size, s.price, s.equity);
    }

    function _rule(State memory s, address caller) internal view returns (IVaultTerms.Ruling memory) {
        return terms.rule(_rebalancing, target, s.price, _leverage(s), caller);
    }

    function _ruin(int256 left, int256 size) internal virtual {
        _status.isRuined = true;
        emit Ruined({equity: left, size: size});
    }

    /// @dev Whether the venue closed the position: a size that went without our doing was liquidated, at whatever price.
    function _isGone(int256 size) internal view returns (bool) {
        return size == 0 && _mark.size != 0;
    }

    /// @dev E-7: whether anything may come in, and how many assets: today, and before equity meets its cap. Leverage
    /// beyond the band must be brought back first, which anyone may do.
    function _requireOpen(State memory s) internal view returns (uint256 today, uint256 beforeCap) {
        (uint256 bandMax, uint256 dailyCap, uint256 totalCap, uint256 pausedUntil) = terms.limits();
        require(block.timestamp >= pausedUntil, MintsPaused(pausedUntil));
        require(!_status.isRuined, VaultRuined());
        if (s.supply > 0) {
            require(!_isGone(s.size), PositionGone(s.size, _mark.size));
            require(s.equity > 0, Underwater(s.equity));
            int256 leverage_ = _leverage(s);
            require(uint256(leverage_.abs()) <= bandMax, LeverageTooHigh(leverage_, bandMax));
        }
        return (Math.saturatingSub(dailyCap, mintedToday()), Math.saturatingSub(totalCap, _held(s)));
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

    function _cost(IPerpAdapter.Fill memory fill, uint256 price) internal pure returns (int256) {
        return LeverageMath.costOf(fill.size, fill.cash, price);
    }

    /// @dev WAD to assets, down; nothing for a debt.
    function _floor(int256 value) internal view returns (uint256) {
        return value > 0 ? uint256(value) / _scale : 0;
    }

    function _perShare(int256 value, uint256 supply) internal pure returns (int256) {
        return value * int256(WAD) / int256(supply + VIRTUAL);
    }
}
