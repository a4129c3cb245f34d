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
import {LeveragedVault} from "contracts/LeveragedVault.sol";
import {QueuedVault} from "contracts/QueuedVault.sol";
import {RequestQueue} from "contracts/RequestQueue.sol";
import {WAD} from "contracts/libraries/LeverageMath.sol";
import {MockAggregator} from "contracts/mocks/MockAggregator.sol";
import {MockDelayedVenue} from "contracts/mocks/MockDelayedVenue.sol";
import {MockERC20} from "contracts/mocks/MockERC20.sol";
import {ChainlinkOracle} from "contracts/oracle/ChainlinkOracle.sol";
import {vm} from "./Vm.sol";

/// @title One queued vault with everything round it, on the mock venue; the roles; and the words of the tests.
contract QueueRig {
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
    MockDelayedVenue public venue;
    RequestQueue public queue;
    QueuedVault public vault;
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
        venue = new MockDelayedVenue(address(asset));
        venue.setCharges(0, 0);
        feed = new MockAggregator(8, int256(START_PRICE / 1e10));
        oracle =
            new ChainlinkOracle(IAggregatorV3(address(feed)), HEARTBEAT, MAX_DEVIATION, IAggregatorV3(address(0)), 0);
        authority = new Authority(address(this));
        queue = new RequestQueue(address(asset));
        vault = new QueuedVault(_config(), queue);
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
            adapter: address(venue),
            oracle: address(oracle),
            authority: address(authority),
            treasury: treasury,
            policy: policyOf(target),
            fees: IVaultTerms.Fees({mint: 0.001e18, burn: 0.001e18, managementPerDay: 0.0001e18}),
            caps: IVaultTerms.Caps({daily: type(uint128).max, total: type(uint128).max})
        });
    }

    /* READ */

    /// @notice As the instant vault's rig: half and eight fifths of the target; small minimum, no largest trade.
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
        venue.setPrice(newPrice);
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

    function changeCaps(uint128 daily, uint128 total) public {
        govern(abi.encodeCall(IVaultTerms.setCaps, (IVaultTerms.Caps({daily: daily, total: total}))));
    }

    /// @notice Assets out of nowhere, approved to the queue.
    function give(address account, uint256 assets) public {
        asset.mint(account, assets);
        vm.prank(account);
        IERC20(address(asset)).forceApprove(address(queue), type(uint256).max);
    }

    function requestDeposit(address account, uint256 assets, bool isRefunded) public returns (uint256 id) {
        give(account, assets);
        vm.prank(account);
        return queue.requestDeposit(assets, account, account, isRefunded);
    }

    function requestRedeem(address account, uint256 shares, bool isRefunded) public returns (uint256 id) {
        vm.prank(account);
        return queue.requestRedeem(shares, account, account, isRefunded);
    }

    function cancelDeposit(address account, uint256 id) public returns (uint256 assets) {
        vm.prank(account);
        return queue.cancelDepositRequest(id, account, account);
    }

    function cancelRedeem(address account, uint256 id) public returns (uint256 shares) {
        vm.prank(account);
        return queue.cancelRedeemRequest(id, account, account);
    }

    function commit(address account) public returns (ILeveragedVault.Trigger trigger, int256 size) {
        vm.prank(account);
        return vault.commit();
    }

    /// @notice With a proof of the index price now.
    function settle(address account) public returns (int256 size) {
        return settle(account, _proof(price()));
    }

    function settle(address account, bytes[] memory proof) public returns (int256 size) {
        vm.prank(account);
        return vault.settle(proof);
    }

    /// @notice Send an order and execute it as soon as the venue lets it.
    function fill(address account) public returns (int256 size) {
        (, int256 sent) = commit(account);
        if (sent == 0) return 0;
        wait_(venue.fillableFrom());
        return settle(account);
    }

    /// @notice Send an order that is cancelled when its time is over.
    function miss(address account) public {
        commit(account);
        wait_(venue.cancellableFrom());
        settle(account, new bytes[](0));
    }

    /// @notice All that can be claimed.
    function claim(address account) public returns (uint256 shares, uint256 assets) {
        vm.startPrank(account);
        uint256 amount = queue.maxDeposit(account);
        if (amount > 0) shares = queue.deposit(amount, account, account);
        amount = queue.maxRedeem(account);
        if (amount > 0) assets = queue.redeem(amount, account, account);
        vm.stopPrank();
    }

    /// @notice The whole way in.
    function enter(address account, uint256 assets) public returns (uint256 shares) {
        requestDeposit(account, assets, false);
        fill(keeper);
        (shares,) = claim(account);
    }

    /// @notice The whole way out.
    function leave_(address account, uint256 shares) public returns (uint256 assets) {
        requestRedeem(account, shares, false);
        fill(keeper);
        (, assets) = claim(account);
    }

    /// @notice Assets straight to the venue account, for nothing.
    function donate(address account, uint256 assets) public {
        asset.mint(account, assets);
        vm.startPrank(account);
        asset.approve(address(venue), assets);
        venue.donate(assets);
        vm.stopPrank();
    }

    function _proof(uint256 at) internal pure returns (bytes[] memory proof) {
        proof = new bytes[](1);
        proof[0] = abi.encode(at);
    }

    function _actor(string memory name) private returns (address account) {
        account = address(uint160(uint256(keccak256(bytes(name)))));
        vm.label(account, name);
    }
}
