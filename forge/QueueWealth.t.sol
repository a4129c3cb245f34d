// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ILeveragedVault} from "interfaces/ILeveragedVault.sol";
import {MockERC20} from "contracts/mocks/MockERC20.sol";
import {QueueRig} from "./QueueRig.sol";
import {usd} from "./Rig.sol";
import {anyMagnitude, bound, vm} from "./Vm.sol";

/// @title I-5 and I-9 on a queued vault: at a constant price nobody ends with more than went in, alone or together, and
/// to split is never cheaper.
abstract contract QueueWealth is QueueRig {
    uint256 private constant STEPS = 24;

    address[3] private _gang;
    uint256 private _given;
    /// @dev Places of requests, by actor and parity.
    mapping(address => uint256[2]) private _in;
    mapping(address => uint256[2]) private _out;

    constructor(int256 target_, MockERC20 asset_) QueueRig(target_, asset_) {
        changeFees(0, 0, 0);
        enter(minter, 50_000 * unit);
        _gang = [attacker, outsider, keeper];
    }

    /// @dev I-5: a gang that requests, cancels, commits, executes and settles as it likes, beside one who holds.
    function test_sequence__constant_price__makes_nobody_richer(uint256 seed) public {
        venue.setFeeRate(seed % 3 == 0 ? 0 : 0.0005e18);
        venue.setSlippage(seed / 3 % 3 == 0 ? int256(0) : int256(0.001e18));
        venue.setKeeperDeposit(seed / 9 % 3 == 0 ? 2e18 : 0);
        uint256 held = token.balanceOf(minter);
        uint256 nav = vault.nav();
        uint256 had;
        for (uint256 i = 0; i < 3; ++i) {
            had += asset.balanceOf(_gang[i]) * scale + token.balanceOf(_gang[i]) * nav / 1e18;
        }

        for (uint256 i = 0; i < STEPS; ++i) {
            _step(uint256(keccak256(abi.encode(seed, i))));
        }
        uint256 left = _gather();

        // The virtual share's pull, a unit for each settlement, and what the position's own size rounds.
        vm.assertGe(held * vault.nav() / 1e18 + 60 * scale + 1e6, held * nav / 1e18, "I-5: who holds loses nothing");
        vm.assertLe(left, had + _given * scale + 60 * scale + 1e6, "I-5: nor does anybody else gain");
    }

    /// @dev I-9: a deposit in two requests gets no more shares than in one, nor does an exit get more assets.
    function test_request__in_two_parts__gets_no_more(uint256 amount, uint256 part, bool isLater) public {
        amount = bound(amount, 200, 20_000) * unit;
        part = bound(part, 100 * unit, amount - 100 * unit);
        venue.setFeeRate(0.001e18);
        venue.setSlippage(0.001e18);
        uint256 id = vm.snapshotState();
        uint256 whole = enter(redeemer, amount);
        uint256 paid = leave_(redeemer, whole);
        vm.revertToState(id);

        uint256 parts;
        requestDeposit(redeemer, part, false);
        if (isLater) fill(keeper);
        requestDeposit(redeemer, amount - part, false);
        fill(keeper);
        (parts,) = claim(redeemer);
        vm.assertLe(parts, whole + whole / 1e12 + 4, "I-9: entries");

        uint256 first = parts * part / amount;
        requestRedeem(redeemer, first, false);
        if (isLater) fill(keeper);
        requestRedeem(redeemer, parts - first, false);
        fill(keeper);
        (, uint256 got) = claim(redeemer);
        vm.assertLe(got, paid + paid / 1e12 + 4, "I-9: exits");
    }

    /* STEPS */

    function _step(uint256 seed) private {
        address actor = _gang[seed % 3];
        uint256 value = seed >> 32;
        uint256 what = (seed >> 8) % 12;
        if (what < 3) {
            uint256 assets = anyMagnitude(value, 5 + asset.decimals());
            give(actor, assets);
            _given += assets;
            vm.prank(actor);
            try queue.requestDeposit(assets, actor, actor, value % 2 == 0) returns (uint256 id) {
                _in[actor][id % 2] = id;
            } catch {}
        } else if (what < 5) {
            uint256 shares = token.balanceOf(actor) * bound(value, 1, 10_000) / 10_000;
            if (shares == 0) return;
            uint256 id = requestRedeem(actor, shares, value % 2 == 0);
            _out[actor][id % 2] = id;
        } else if (what == 5) {
            _cancel(actor);
        } else if (what == 6) {
            claim(actor);
        } else if (what == 7) {
            wait_(bound(value, 1, 3 minutes));
        } else if (what < 10) {
            vm.prank(actor);
            try vault.commit() returns (ILeveragedVault.Trigger, int256) {} catch {}
        } else if (what == 10) {
            wait_(venue.fillableFrom());
            vm.prank(actor);
            try venue.execute(START_PRICE) {} catch {}
        } else {
            vm.prank(actor);
            try vault.settle(value % 2 == 0 ? _proof(START_PRICE) : new bytes[](0)) {} catch {}
        }
    }

    function _cancel(address actor) private {
        vm.startPrank(actor);
        for (uint256 i = 0; i < 3; ++i) {
            try queue.cancelDepositRequest(i < 2 ? _in[actor][i] : 0, actor, actor) {} catch {}
            try queue.cancelRedeemRequest(i < 2 ? _out[actor][i] : 0, actor, actor) {} catch {}
        }
        vm.stopPrank();
    }

    /// @dev Everything ends; what the gang has then, WAD.
    function _gather() private returns (uint256 all) {
        wait_(3 minutes);
        try vault.settle(new bytes[](0)) {} catch {}
        uint256 nav = vault.nav();
        for (uint256 i = 0; i < 3; ++i) {
            address actor = _gang[i];
            _cancel(actor);
            claim(actor);
            vm.assertEq(queue.maxMint(actor), 0, "all of it");
            all += asset.balanceOf(actor) * scale + token.balanceOf(actor) * nav / 1e18;
        }
    }
}

/// forge-config: default.fuzz.runs = 96
contract QueueWealthLongTest is QueueWealth {
    constructor() QueueWealth(3e18, usd(6)) {}
}

/// forge-config: default.fuzz.runs = 96
contract QueueWealthShortTest is QueueWealth {
    constructor() QueueWealth(-2e18, usd(18)) {}
}
