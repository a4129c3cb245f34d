// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IAggregatorV3} from "interfaces/external/IAggregatorV3.sol";
import {IPerpAccountBalance, IPerpClearingHouse, IPerpExchange, IPerpVault} from "interfaces/external/IPerpV2.sol";

/// @title The least contract that turns a Perp v2 position into a token: the baseline of the gas figures
/// @notice Makes the venue calls that nobody can do without, and nothing else: no fees, no limits, no roles, no policy, no
/// ledger, no check of the price but that it is positive.
/// @dev Warning: for measurements only; its entrants size on what they pay, and the fund carries the difference.
/// There is nothing to stop: no owner, no pause.
contract LeanVault is ERC20 {
    int256 private constant WAD = 1e18;

    IPerpClearingHouse public immutable clearingHouse;
    IPerpVault public immutable venueVault;
    IPerpExchange public immutable exchange;
    IPerpAccountBalance public immutable accountBalance;
    IAggregatorV3 public immutable feed;
    IERC20 public immutable asset;
    address public immutable baseToken;
    int256 public immutable target;
    int256 private immutable _scale;
    int256 private immutable _feedScale;

    constructor(IPerpClearingHouse clearingHouse_, address baseToken_, IAggregatorV3 feed_, int256 target_)
        ERC20("Lean", "LEAN")
    {
        clearingHouse = clearingHouse_;
        baseToken = baseToken_;
        feed = feed_;
        target = target_;
        venueVault = IPerpVault(clearingHouse_.getVault());
        exchange = IPerpExchange(clearingHouse_.getExchange());
        accountBalance = IPerpAccountBalance(clearingHouse_.getAccountBalance());
        asset = IERC20(venueVault.getSettlementToken());
        _scale = int256(10 ** (18 - venueVault.decimals()));
        _feedScale = int256(10 ** (18 - feed_.decimals()));
        asset.approve(address(venueVault), type(uint256).max);
    }

    /* ACTIONS */

    function mint(uint256 assets) external returns (uint256 shares) {
        int256 price = _price();
        (int256 size, int256 cash) = _position();
        int256 equity = cash + size * price / WAD;
        int256 supply = int256(totalSupply());
        int256 paid = int256(assets) * _scale;

        asset.transferFrom(msg.sender, address(this), assets);
        venueVault.deposit(address(asset), assets);
        int256 bought = supply == 0 ? target * paid / price : size * paid / equity;
        int256 net = paid + _trade(bought) + bought * price / WAD;
        shares = uint256(supply == 0 ? net : net * supply / equity);
        _mint(msg.sender, shares);
    }

    function burn(uint256 shares) external returns (uint256 assets) {
        (int256 size, int256 cash) = _position();
        int256 part = int256(shares);
        int256 supply = int256(totalSupply());
        _burn(msg.sender, shares);

        int256 proceeds = cash * part / supply + _trade(-(size * part / supply));
        assets = uint256(proceeds / _scale);
        venueVault.withdraw(address(asset), assets);
        asset.transfer(msg.sender, assets);
    }

    function rebalance() external {
        int256 price = _price();
        (int256 size, int256 cash) = _position();
        _trade(target * (cash + size * price / WAD) / price - size);
    }

    /* INTERNALS */

    function _price() private view returns (int256) {
        (, int256 answer,,,) = feed.latestRoundData();
        require(answer > 0);
        return answer * _feedScale;
    }

    /// @dev The same five views as the adapter's.
    function _position() private view returns (int256 size, int256 cash) {
        size = accountBalance.getTakerPositionSize(address(this), baseToken);
        (int256 owed,, uint256 makerFee) = accountBalance.getPnlAndPendingFee(address(this));
        cash = venueVault.getBalance(address(this)) * _scale + owed + int256(makerFee)
            + accountBalance.getTakerOpenNotional(address(this), baseToken);
        if (size != 0) cash -= exchange.getPendingFundingPayment(address(this), baseToken);
    }

    /// @dev An exact base amount; returns the change of cash.
    function _trade(int256 size) private returns (int256) {
        bool isBuy = size > 0;
        (, uint256 quote) = clearingHouse.openPosition(
            IPerpClearingHouse.OpenPositionParams({
                baseToken: baseToken,
                isBaseToQuote: !isBuy,
                isExactInput: !isBuy,
                amount: uint256(isBuy ? size : -size),
                oppositeAmountBound: 0,
                deadline: block.timestamp,
                sqrtPriceLimitX96: 0,
                referralCode: 0
            })
        );
        return isBuy ? -int256(quote) : int256(quote);
    }
}
