// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC7575} from "interfaces/IERC7575.sol";
import {IInstantVault} from "interfaces/IInstantVault.sol";
import {ILeveragedVault} from "interfaces/ILeveragedVault.sol";
import {IVaultTerms} from "interfaces/IVaultTerms.sol";
import {InstantVault} from "contracts/InstantVault.sol";
import {VIRTUAL, WAD} from "contracts/libraries/LeverageMath.sol";
import {Handler} from "./Handler.sol";
import {Rig} from "./Rig.sol";
import {Watched} from "./Watched.sol";
import {vm} from "./Vm.sol";

/// @title The invariants of docs/spec.md on an instant vault, whatever anybody does. Those of a single step, I-2, I-3, I-4,
/// I-7, I-8, I-13 and I-14, are held by the handler at each step of every run; I-5 is in Wealth.t.sol, I-9 in Neutrality.t.sol.
/// forge-config: default.invariant.fail-on-revert = true
/// forge-config: default.invariant.runs = 96
/// forge-config: deep.invariant.runs = 256
contract InvariantsTest {
    Handler private _handler;

    function setUp() public {
        _handler = new Handler();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_handler);
    }

    struct Selectors {
        address addr;
        bytes4[] selectors;
    }

    function excludeSelectors() public view returns (Selectors[] memory excluded) {
        excluded = new Selectors[](1);
        excluded[0] = Selectors(address(_handler), new bytes4[](2));
        excluded[0].selectors[0] = Handler.leaveAll.selector;
        excluded[0].selectors[1] = Watched.rig.selector;
    }

    /// @dev Nobody's claim, nor all of them together, is more than there is, but for the virtual share.
    function invariant_i1__claims__are_covered() public view {
        Rig rig = _handler.rig();
        if (address(rig) == address(0)) return;
        InstantVault vault = rig.vault();

        vm.assertGe(rig.asset().balanceOf(address(vault)), vault.feesOwed(), "I-1: the fees are there");
        if (!rig.isPriceGood()) return;
        ILeveragedVault.Snapshot memory s = vault.snapshot();
        uint256 equity = s.equity > 0 ? uint256(s.equity) : 0;
        vm.assertLe(s.supply * s.nav / WAD, equity + VIRTUAL, "I-1: shares are worth no more than the fund");
        vm.assertTrue(s.equity > 0 || s.nav == 0 || s.supply == 0, "I-1: and nothing when it is nothing");
    }

    /// @dev The ledger's lines add up to nav, to the last wei, at every moment.
    function invariant_i10__attribution__closes() public view {
        Rig rig = _handler.rig();
        if (address(rig) == address(0) || !rig.isPriceGood()) return;

        (ILeveragedVault.Attribution memory lines, uint256 nav) = rig.vault().attribution();

        int256 sum = int256(lines.price) + lines.funding + lines.venueFee + lines.slippage + lines.managementFee
            + lines.rounding;
        vm.assertEq(sum, int256(nav) - int256(WAD), "I-10: to the wei");
        vm.assertEq(nav, rig.vault().nav(), "I-10: the nav that anybody sees");
    }

    /// @dev An unusable price reverts with its reason everywhere, and reads 0 nowhere; what can go in is nothing.
    function invariant_i11__unusable_price__reverts() public {
        Rig rig = _handler.rig();
        if (address(rig) == address(0) || rig.isPriceGood()) return;
        (, bytes memory reason) = address(rig.oracle()).staticcall(abi.encodeCall(rig.oracle().price, ()));
        bytes[8] memory reads = [
            abi.encodeCall(ILeveragedVault.nav, ()),
            abi.encodeCall(ILeveragedVault.equity, ()),
            abi.encodeCall(ILeveragedVault.leverage, ()),
            abi.encodeCall(ILeveragedVault.snapshot, ()),
            abi.encodeCall(ILeveragedVault.attribution, ()),
            abi.encodeCall(IERC7575.totalAssets, ()),
            abi.encodeCall(IERC7575.previewDeposit, (1e18)),
            abi.encodeCall(IInstantVault.rebalance, ())
        ];
        for (uint256 i = 0; i < reads.length; ++i) {
            (bool isDone, bytes memory answer) = address(rig.vault()).call(reads[i]);
            vm.assertTrue(!isDone, "I-11: nothing is answered");
            vm.assertEq(answer, reason, "I-11: the oracle's own reason");
        }
        vm.assertEq(rig.vault().maxDeposit(address(this)), 0, "I-11: nothing can go in");
    }

    /// @dev After each run everybody leaves: `afterInvariant`.
    function invariant_i12__pause__ends() public view {
        Rig rig = _handler.rig();
        if (address(rig) == address(0)) return;
        IVaultTerms terms = rig.terms();

        vm.assertLe(terms.pausedUntil(), block.timestamp + 7 days, "I-12: no pause outlives its limit");
    }

    function afterInvariant() public {
        _handler.leaveAll();
    }
}
