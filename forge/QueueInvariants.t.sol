// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ILeveragedVault} from "interfaces/ILeveragedVault.sol";
import {QueueHandler} from "./QueueHandler.sol";
import {QueueRig} from "./QueueRig.sol";
import {QueueWatched} from "./QueueWatched.sol";
import {vm} from "./Vm.sol";

/// @title The invariants of docs/spec.md on a queued vault, whatever anybody does. Those of a single step, I-1, I-2, I-6,
/// I-7, I-10, I-13 and I-14, are held by the handler at each step of every run; I-5 and I-9 are in QueueWealth.t.sol.
/// forge-config: default.invariant.fail-on-revert = true
/// forge-config: default.invariant.runs = 32
/// forge-config: default.invariant.depth = 96
/// forge-config: deep.invariant.runs = 256
contract QueueInvariantsTest {
    QueueHandler private _handler;

    function setUp() public {
        _handler = new QueueHandler();
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
        excluded[0].selectors[0] = QueueHandler.leaveAll.selector;
        excluded[0].selectors[1] = QueueWatched.rig.selector;
    }

    /// @dev An unusable price reverts with its reason everywhere, and reads 0 nowhere; no pause outlives its limit.
    function invariant_i11_i12__prices_and_pauses__are_as_promised() public {
        QueueRig rig = _handler.rig();
        if (address(rig) == address(0)) return;
        vm.assertLe(rig.terms().pausedUntil(), block.timestamp + 7 days, "I-12: no pause outlives its limit");
        if (rig.isPriceGood()) return;
        (, bytes memory reason) = address(rig.oracle()).staticcall(abi.encodeCall(rig.oracle().price, ()));
        bytes[5] memory reads = [
            abi.encodeCall(ILeveragedVault.nav, ()),
            abi.encodeCall(ILeveragedVault.equity, ()),
            abi.encodeCall(ILeveragedVault.leverage, ()),
            abi.encodeCall(ILeveragedVault.snapshot, ()),
            abi.encodeCall(ILeveragedVault.attribution, ())
        ];
        for (uint256 i = 0; i < reads.length; ++i) {
            (bool isDone, bytes memory answer) = address(rig.vault()).call(reads[i]);
            vm.assertTrue(!isDone, "I-11: nothing is answered");
            vm.assertEq(answer, reason, "I-11: the oracle's own reason");
        }
    }

    function afterInvariant() public {
        _handler.leaveAll();
    }
}
