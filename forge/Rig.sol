// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ILeveragedToken} from "interfaces/ILeveragedToken.sol";
import {ILeveragedVault} from "interfaces/ILeveragedVault.sol";
import {IPerpAdapter} from "interfaces/IPerpAdapter.sol";
import {IVaultTerms} from "interfaces/IVaultTerms.sol";
import {IAggregatorV3} from "interfaces/external/IAggregatorV3.sol";
import {Authority, GUARDIAN_ROLE, KEEPER_ROLE} from "contracts/Authority.sol";
import {InstantVault} from "contracts/InstantVault.sol";
import {LeveragedVault} from "contracts/LeveragedVault.sol";
import {LeverageMath, VIRTUAL, WAD} from "contracts/libraries/LeverageMath.sol";
import {MockAdapter} from "contracts/mocks/MockAdapter.sol";
import {MockAggregator} from "contracts/mocks/MockAggregator.sol";
import {MockERC20} from "contracts/mocks/MockERC20.sol";
import {ChainlinkOracle} from "contracts/oracle/ChainlinkOracle.sol";
import {vm} from "./Vm.sol";

/// @dev Collateral with any number of decimals.
function usd(uint8 decimals) returns (MockERC20) {
    return new MockERC20("Collateral", "USD", decimals);
}

/// @title One vault with everything round it, on the mock venue; the roles; and the words of the tests.
contract Rig {
    using SafeERC20 for IERC20;

    uint256 public constant HEARTBEAT = 1 hours;
    uint256 public constant MAX_DEVIATION = 0.02e18;
    uint32 public constant TIMELOCK = 2 days;
    /// @dev 2026-01-05 00:00 UTC, a Monday.
    uint256 public constant MIDNIGHT = 1_767_571_200;
    uint256 public constant START_PRICE = 2000e18;

    address public immutable owner = _actor("owner");
    address public immutable guardian = _actor("guardian");
    address public immutable keeper = _actor("keeper");
    address public immutable treasury = _actor("treasury");
    address public immutable minter = _actor("minter");
    address public immutable redeemer = _actor("redeemer");
    address public immutable outsider = _actor("outsider");
    address public immutable attacker = _actor("attacker");

    MockERC20 public asset;
    MockAggregator public feed;
    ChainlinkOracle public oracle;
    Authority public authority;
    MockAdapter public adapter;
    InstantVault public vault;
    ILeveragedToken public token;
    IVaultTerms public terms;
    int256 public target;
    /// @dev WAD per base unit of the asset, and base units of one unit.
    uint256 public scale;
    uint256 public unit;

    constructor(int256 target_, MockERC20 asset_) {
        if (block.timestamp < MIDNIGHT) vm.warp(MIDNIGHT + 12 hours);
        target = target_;
        asset = asset_;
        unit = 10 ** asset.decimals();
        scale = WAD / unit;
        adapter = new MockAdapter(address(asset));
        feed = new MockAggregator(8, int256(START_PRICE / 1e10));
        oracle =
            new ChainlinkOracle(IAggregatorV3(address(feed)), HEARTBEAT, MAX_DEVIATION, IAggregatorV3(address(0)), 0);
        authority = new Authority(address(this));
        vault = new InstantVault(_config());
        token = vault.token();
        terms = vault.terms();
        authority.grantRole(KEEPER_ROLE, keeper, 0);
        authority.grantRole(GUARDIAN_ROLE, guardian, 0);
        authority.grantRole(authority.ADMIN_ROLE(), owner, TIMELOCK);
        authority.renounceRole(authority.ADMIN_ROLE(), address(this));
    }

    function _config() internal view virtual returns (LeveragedVault.Config memory) {
        return LeveragedVault.Config({
            name: "Leveraged",
            symbol: "LEV",
            target: target,
            adapter: address(adapter),
            oracle: address(oracle),
            authority: address(authority),
            treasury: treasury,
            policy: policyOf(target),
            fees: IVaultTerms.Fees({mint: 0.001e18, burn: 0.001e18, managementPerDay: 0.0001e18}),
            caps: IVaultTerms.Caps({daily: type(uint128).max, total: type(uint128).max})
        });
    }

    /* READ */

    /// @notice Two thirds and four thirds of the target, wider for shorts and for 1x; small minimum, no largest trade.
    function policyOf(int256 target_) public pure returns (IVaultTerms.Policy memory) {
        uint256 gearing = uint256(target_ < 0 ? -target_ : target_);
        return IVaultTerms.Policy({
            triggers: 7,
            period: 1 days,
            offset: 120,
            exclusive: 1800,
            cooldown: 60,
            bandMin: uint64(gearing / 2),
            bandMax: uint64(gearing * 8 / 5),
            emergencyMove: 0.1e18,
            drift: uint64(gearing / 50),
            tolerance: uint64(gearing / 100),
            maxSlippage: 0.02e18,
            emergencySlippage: 0.05e18,
            tipRate: 0.001e18,
            tipCap: 5e18,
            minNotional: 10e18,
            maxNotional: type(uint128).max
        });
    }

    function snapshot() public view returns (ILeveragedVault.Snapshot memory) {
        return vault.snapshot();
    }

    /// @notice The index price, whether the vault would take it or not.
    function price() public view returns (uint256) {
        return uint256(feed.latestAnswer()) * 1e10;
    }

    /// @notice Equity at the index to the last fraction, times 1e36: no division, so no rounding.
    function exactEquity() public view returns (int256) {
        IPerpAdapter.Position memory p = adapter.position();
        return p.cash * int256(WAD) + p.size * int256(price());
    }

    function isPriceGood() public view returns (bool) {
        try oracle.price() returns (uint256) {
            return true;
        } catch {
            return false;
        }
    }

    /* ACT */

    /// @notice The index and the venue move together; the feed is fresh.
    function move(uint256 newPrice) public {
        newPrice -= newPrice % 1e10;
        feed.set(int256(newPrice / 1e10));
        adapter.setPrice(newPrice);
    }

    /// @notice Time passes; the feed answers the same again.
    function wait_(uint256 duration) public {
        vm.warp(block.timestamp + duration);
        feed.set(feed.latestAnswer());
    }

    /// @notice Through the timelock, waiting it out.
    function govern(bytes memory call) public {
        vm.prank(owner);
        authority.schedule(address(terms), call, 0);
        wait_(TIMELOCK);
        vm.prank(owner);
        authority.execute(address(terms), call);
    }

    function changeFees(uint64 entry, uint64 exit, uint64 managementPerDay) public {
        govern(abi.encodeCall(IVaultTerms.setFees, (IVaultTerms.Fees(entry, exit, managementPerDay))));
    }

    /// @notice Assets out of nowhere, approved to the vault.
    function give(address account, uint256 assets) public {
        asset.mint(account, assets);
        vm.prank(account);
        IERC20(address(asset)).forceApprove(address(vault), type(uint256).max);
    }

    function deposit(address account, uint256 assets) public returns (uint256 shares) {
        give(account, assets);
        vm.prank(account);
        return vault.deposit(assets, account);
    }

    function mint(address account, uint256 shares) public returns (uint256 assets) {
        give(account, vault.previewMint(shares));
        vm.prank(account);
        return vault.mint(shares, account);
    }

    function redeem(address account, uint256 shares) public returns (uint256 assets) {
        vm.prank(account);
        return vault.redeem(shares, account, account);
    }

    function withdraw(address account, uint256 assets) public returns (uint256 shares) {
        vm.prank(account);
        return vault.withdraw(assets, account, account);
    }

    function rebalance(address account) public returns (ILeveragedVault.Trigger trigger, int256 size) {
        vm.prank(account);
        return vault.rebalance();
    }

    /// @notice Assets straight to the venue account, for nothing.
    function donate(address account, uint256 assets) public {
        asset.mint(account, assets);
        vm.startPrank(account);
        asset.approve(address(adapter), assets);
        adapter.donate(assets);
        vm.stopPrank();
    }

    function _actor(string memory name) private returns (address account) {
        account = address(uint160(uint256(keccak256(bytes(name)))));
        vm.label(account, name);
    }
}
