// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {IERC7575} from "interfaces/IERC7575.sol";
import {IInstantAdapter} from "interfaces/IInstantAdapter.sol";
import {IInstantVault} from "interfaces/IInstantVault.sol";
import {ILeveragedToken} from "interfaces/ILeveragedToken.sol";
import {ILeveragedVault} from "interfaces/ILeveragedVault.sol";
import {IPerpAdapter} from "interfaces/IPerpAdapter.sol";
import {IVaultTerms} from "interfaces/IVaultTerms.sol";
import {InstantVault} from "contracts/InstantVault.sol";
import {LeveragedVault} from "contracts/LeveragedVault.sol";
import {LeverageMath} from "contracts/libraries/LeverageMath.sol";
import {MockERC20} from "contracts/mocks/MockERC20.sol";
import {HostileAdapter} from "./HostileAdapter.sol";
import {FeeToken, HookToken, NoReturnToken} from "./HostileTokens.sol";
import {Rig, usd} from "./Rig.sol";
import {vm} from "./Vm.sol";

/// @title Knocks at every door of a vault when called, and remembers which opened.
/// @dev Warning: for tests only. There is nothing to stop.
contract Intruder {
    InstantVault private immutable _vault;
    uint256 public visits;

    constructor(InstantVault vault) {
        _vault = vault;
    }

    fallback() external {
        ++visits;
        bytes[] memory doors = _doors();
        for (uint256 i = 0; i < doors.length; ++i) {
            (bool isOpen, bytes memory answer) = address(_vault).call(doors[i]);
            require(!isOpen, "a door was open");
            require(
                bytes4(answer) == ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector, "for another reason"
            );
        }
        // ERC-4626 lets these two not revert: nothing can go in or out now.
        require(_vault.maxDeposit(address(this)) == 0, "maxDeposit");
        require(_vault.maxMint(address(this)) == 0, "maxMint");
        require(_vault.maxWithdraw(address(this)) == 0, "maxWithdraw");
    }

    /// @dev Every function that changes something, then every view whose answer is half-way through.
    function _doors() private view returns (bytes[] memory doors) {
        address me = address(this);
        uint256 late = type(uint256).max;
        doors = new bytes[](26);
        doors[0] = abi.encodeWithSignature("deposit(uint256,address)", 1e6, me);
        doors[1] = abi.encodeWithSignature("deposit(uint256,address,uint256,uint256)", 1e6, me, 0, late);
        doors[2] = abi.encodeWithSignature("mint(uint256,address)", 1e18, me);
        doors[3] = abi.encodeWithSignature("mint(uint256,address,uint256,uint256)", 1e18, me, late, late);
        doors[4] = abi.encodeWithSignature("withdraw(uint256,address,address)", 1e6, me, me);
        doors[5] = abi.encodeWithSignature("withdraw(uint256,address,address,uint256,uint256)", 1e6, me, me, late, late);
        doors[6] = abi.encodeWithSignature("redeem(uint256,address,address)", 1e18, me, me);
        doors[7] = abi.encodeWithSignature("redeem(uint256,address,address,uint256,uint256)", 1e18, me, me, 0, late);
        doors[8] = abi.encodeCall(IInstantVault.rebalance, ());
        doors[9] = abi.encodeCall(ILeveragedVault.accrue, ());
        doors[10] = abi.encodeCall(ILeveragedVault.checkRuin, ());
        doors[11] = abi.encodeCall(ILeveragedVault.collectFees, ());
        doors[12] = abi.encodeCall(ILeveragedVault.equity, ());
        doors[13] = abi.encodeCall(ILeveragedVault.nav, ());
        doors[14] = abi.encodeCall(ILeveragedVault.leverage, ());
        doors[15] = abi.encodeCall(ILeveragedVault.snapshot, ());
        doors[16] = abi.encodeCall(ILeveragedVault.due, (me));
        doors[17] = abi.encodeCall(ILeveragedVault.attribution, ());
        doors[18] = abi.encodeCall(IERC7575.totalAssets, ());
        doors[19] = abi.encodeCall(IERC7575.convertToShares, (1e6));
        doors[20] = abi.encodeCall(IERC7575.convertToAssets, (1e18));
        doors[21] = abi.encodeCall(IERC7575.previewDeposit, (1e6));
        doors[22] = abi.encodeCall(IERC7575.previewMint, (1e18));
        doors[23] = abi.encodeCall(IERC7575.previewWithdraw, (1e6));
        doors[24] = abi.encodeCall(IERC7575.previewRedeem, (1e18));
        doors[25] = abi.encodeCall(InstantVault.room, ());
    }
}

/// @title Collateral and a venue that call back.
contract ReentrancyTest is Rig {
    Intruder private immutable _intruder;

    constructor() Rig(3e18, new HookToken()) {
        deposit(minter, 1_000 * unit);
        _intruder = new Intruder(vault);
    }

    function test_deposit__collateral_calls_back__every_door_is_shut() public {
        HookToken(address(asset)).setHook(address(_intruder));

        deposit(redeemer, 100 * unit);

        vm.assertEq(_intruder.visits(), 2, "the margin and the fee");
    }

    function test_redeem__collateral_calls_back__every_door_is_shut() public {
        HookToken(address(asset)).setHook(address(_intruder));

        redeem(minter, 100e18);

        vm.assertEq(_intruder.visits(), 2, "to the vault and to the redeemer");
    }

    function test_collectFees__collateral_calls_back__every_door_is_shut() public {
        HookToken(address(asset)).setHook(address(_intruder));

        vault.collectFees();

        vm.assertEq(_intruder.visits(), 1, "to the treasury");
        vm.assertEq(vault.feesOwed(), 0, "once");
    }

    function test_trade__venue_calls_back__every_door_is_shut() public {
        adapter.setHook(address(_intruder), "x");

        deposit(redeemer, 100 * unit);
        redeem(minter, 100e18);
        withdraw(minter, 10 * unit);
        mint(redeemer, 5e18);
        move(1_700e18);
        rebalance(outsider);

        vm.assertEq(_intruder.visits(), 5, "one for each trade");
    }

    /// @dev A gift in the middle of the transfer is no part of it.
    function test_deposit__venue_given_collateral_in_the_middle__reverts() public {
        Giver giver = new Giver(asset, address(adapter));
        HookToken(address(asset)).setHook(address(giver));
        give(redeemer, 100 * unit);

        vm.prank(redeemer);
        vm.expectRevert(abi.encodeWithSelector(ILeveragedVault.TransferShort.selector, 99_900_001, 99_900_000));
        vault.deposit(100 * unit, redeemer);
    }
}

/// @title Gives a unit of collateral away when called.
/// @dev Warning: for tests only. There is nothing to stop.
contract Giver {
    MockERC20 private immutable _asset;
    address private immutable _to;

    constructor(MockERC20 asset, address to) {
        _asset = asset;
        _to = to;
    }

    fallback() external {
        _asset.mint(_to, 1);
    }
}

/// @title A token of a hostile author beside an honest one: same collateral, authority and treasury.
contract HostileAdapterTest is Rig {
    HostileAdapter private immutable _evil;
    InstantVault private immutable _evilVault;

    constructor() Rig(3e18, usd(6)) {
        _evil = new HostileAdapter(address(asset));
        _evil.setHook(address(_evil), abi.encodeCall(HostileAdapter.strike, ()));
        LeveragedVault.Config memory config = _config();
        config.adapter = address(_evil);
        _evilVault = new InstantVault(config);

        deposit(minter, 1_000 * unit);
        deposit(redeemer, 500 * unit);
    }

    function test_strike__on_another_vault_and_its_holders__changes_nothing() public {
        _planEverything();
        bytes32 before = _honestState();
        asset.mint(outsider, 100 * unit);
        vm.startPrank(outsider);
        asset.approve(address(_evilVault), 100 * unit);

        uint256 shares = _evilVault.deposit(100 * unit, outsider);
        _evilVault.redeem(shares / 2, outsider, outsider);
        vm.stopPrank();

        vm.assertGt(_evil.attempts(), 20, "it tried");
        vm.assertEq(_evil.successes(), 0, "nothing worked");
        vm.assertEq(_honestState(), before, "nothing changed");
    }

    /// @dev Claiming profits that are not there pays with its own vault's money alone.
    function test_lie__about_a_fill__is_paid_by_its_own_vault() public {
        bytes32 before = _honestState();
        asset.mint(attacker, 1_000 * unit);
        vm.startPrank(attacker);
        asset.approve(address(_evilVault), 1_000 * unit);
        _evilVault.deposit(1_000 * unit, attacker);
        uint256 shares = _evilVault.token().balanceOf(attacker);
        _evil.lie(0, 1_000_000e18, 0);

        vm.expectPartialRevert(IPerpAdapter.WithdrawalShort.selector);
        _evilVault.redeem(shares / 2, attacker, attacker);
        vm.stopPrank();

        vm.assertEq(_honestState(), before, "nothing changed");
    }

    function test_lie__about_the_size__reverts() public {
        // An entrant buys a wei more than the exact size.
        int256 filled = LeverageMath.sizeToLeverage(3e18, 99.9e18, 0, START_PRICE) + 1;
        _evil.lie(1, 0, 0);
        asset.mint(attacker, 100 * unit);
        vm.startPrank(attacker);
        asset.approve(address(_evilVault), 100 * unit);

        vm.expectRevert(abi.encodeWithSelector(ILeveragedVault.PartialFill.selector, filled + 1, filled));
        _evilVault.deposit(100 * unit, attacker);
        vm.stopPrank();
    }

    function test_bind__adapter_of_another_vault__reverts() public {
        vm.expectRevert(abi.encodeWithSelector(IPerpAdapter.AlreadyBound.selector, address(vault)));
        adapter.bind();

        LeveragedVault.Config memory config = _config();
        vm.expectRevert(abi.encodeWithSelector(IPerpAdapter.AlreadyBound.selector, address(vault)));
        new InstantVault(config);
    }

    function _planEverything() private {
        address evil = address(_evil);
        address honest = address(vault);
        address[2] memory holders = [minter, redeemer];
        for (uint256 i = 0; i < 2; ++i) {
            address holder = holders[i];
            _evil.plan(honest, abi.encodeWithSignature("redeem(uint256,address,address)", 1e18, evil, holder));
            _evil.plan(honest, abi.encodeWithSignature("withdraw(uint256,address,address)", 1e6, evil, holder));
            _evil.plan(address(token), abi.encodeCall(ILeveragedToken.burn, (holder, holder, 1e18)));
            _evil.plan(address(token), abi.encodeCall(IERC20.transferFrom, (holder, evil, 1e18)));
            _evil.plan(address(asset), abi.encodeCall(IERC20.transferFrom, (holder, evil, 1)));
        }
        _evil.plan(honest, abi.encodeWithSignature("deposit(uint256,address)", 1e6, evil));
        _evil.plan(address(token), abi.encodeCall(ILeveragedToken.mint, (evil, 1e18)));
        _evil.plan(address(token), abi.encodeCall(IERC20.transferFrom, (honest, evil, 1)));
        _evil.plan(address(asset), abi.encodeCall(IERC20.transferFrom, (honest, evil, 1)));
        _evil.plan(address(asset), abi.encodeCall(IERC20.transferFrom, (address(adapter), evil, 1)));
        _evil.plan(address(adapter), abi.encodeCall(IInstantAdapter.adjust, (-1e18, 0, 0)));
        _evil.plan(address(adapter), abi.encodeCall(IPerpAdapter.withdraw, (1e6, evil)));
        _evil.plan(address(adapter), abi.encodeCall(IPerpAdapter.bind, ()));
        _evil.plan(address(terms), abi.encodeCall(IVaultTerms.pause, (1 days)));
        _evil.plan(address(terms), abi.encodeCall(IVaultTerms.setTreasury, (evil)));
        _evil.plan(honest, abi.encodeCall(IInstantVault.rebalance, ()));
    }

    function _honestState() private view returns (bytes32) {
        return keccak256(
            abi.encode(
                vault.snapshot(),
                vault.feesOwed(),
                vault.mark(),
                token.balanceOf(minter),
                token.balanceOf(redeemer),
                asset.balanceOf(minter),
                asset.balanceOf(redeemer),
                asset.balanceOf(address(vault)),
                asset.balanceOf(address(adapter)),
                terms.treasury(),
                terms.pausedUntil()
            )
        );
    }
}

/// @title Collateral that keeps a cut is refused; collateral that returns nothing works.
contract FeeTokenTest is Rig {
    constructor() Rig(3e18, new FeeToken()) {}

    function test_deposit__collateral_takes_a_cut__reverts() public {
        give(minter, 100 * unit);

        vm.prank(minter);
        vm.expectRevert(abi.encodeWithSelector(ILeveragedVault.TransferShort.selector, 98_901_000, 99_900_000));
        vault.deposit(100 * unit, minter);
    }
}

contract NoReturnTokenTest is Rig {
    constructor() Rig(-3e18, MockERC20(address(new NoReturnToken()))) {}

    function test_deposit_and_redeem__collateral_returns_nothing__work() public {
        uint256 shares = deposit(minter, 100 * unit);

        uint256 assets = redeem(minter, shares);
        uint256 fees = vault.collectFees();

        vm.assertEq(asset.balanceOf(minter), assets, "paid");
        vm.assertEq(asset.balanceOf(treasury), fees, "fees paid");
        vm.assertEq(fees + assets, 100 * unit, "nothing lost on the way");
    }
}
