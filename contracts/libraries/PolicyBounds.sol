// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IVaultTerms} from "interfaces/IVaultTerms.sol";
import {WAD} from "contracts/libraries/LeverageMath.sol";

/// @title Hard bounds in bytecode: what not even the timelock can set.
library PolicyBounds {
    /// @dev The band's upper edge keeps a fifth of the venue's largest leverage in reserve.
    uint256 internal constant VENUE_RESERVE = 0.8e18;

    /// @notice E-5, E-6. `gearing` is |target|, WAD; `venueMax` the venue's largest leverage, WAD.
    function check(IVaultTerms.Policy memory p, uint256 gearing, uint256 venueMax) internal pure {
        _within("triggers", p.triggers, 0, 7);
        _within("period", p.period, 1 hours, 7 days);
        _within("offset", p.offset, 0, p.period - 1);
        _within("exclusive", p.exclusive, 0, _min(2 hours, p.period - 1));
        _within("cooldown", p.cooldown, 0, 1 hours);
        _within("bandMin", p.bandMin, 0, gearing - 1);
        _within("bandMax", p.bandMax, gearing + 1, venueMax * VENUE_RESERVE / WAD);
        _within("emergencyMove", p.emergencyMove, 0.01e18, 0.5e18);
        _within("tolerance", p.tolerance, 0.001e18, gearing / 10);
        _within("drift", p.drift, p.tolerance, gearing / 2);
        _within("maxSlippage", p.maxSlippage, 0.0005e18, 0.05e18);
        _within("emergencySlippage", p.emergencySlippage, p.maxSlippage, 0.2e18);
        _within("tipRate", p.tipRate, 0, 0.1e18);
        _within("tipCap", p.tipCap, 0, 10e18);
        _within("minNotional", p.minNotional, 0, 10_000e18);
        _within("maxNotional", p.maxNotional, uint256(p.minNotional) + 1, type(uint128).max);
    }

    /// @notice E-4: 100 bp of assets in, 100 bp of assets out, 10 bp of equity per day.
    function check(IVaultTerms.Fees memory f) internal pure {
        _atMost("mint", f.mint, 0.01e18);
        _atMost("burn", f.burn, 0.01e18);
        _atMost("managementPerDay", f.managementPerDay, 0.001e18);
    }

    function _within(bytes32 field, uint256 value, uint256 min, uint256 max) private pure {
        require(value >= min && value <= max, IVaultTerms.PolicyOutOfBounds(field, value, min, max));
    }

    function _atMost(bytes32 field, uint256 value, uint256 max) private pure {
        require(value <= max, IVaultTerms.FeeOutOfBounds(field, value, max));
    }

    function _min(uint256 a, uint256 b) private pure returns (uint256) {
        return a < b ? a : b;
    }
}
