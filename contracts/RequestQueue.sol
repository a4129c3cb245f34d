// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC165} from "@openzeppelin/contracts/utils/introspection/IERC165.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {IERC7540Deposit, IERC7540Operator, IERC7540Redeem} from "interfaces/IERC7540.sol";
import {IERC7575} from "interfaces/IERC7575.sol";
import {ILeveragedToken} from "interfaces/ILeveragedToken.sol";
import {ILeveragedVault} from "interfaces/ILeveragedVault.sol";
import {IPerpAdapter} from "interfaces/IPerpAdapter.sol";
import {IQueuedVault} from "interfaces/IQueuedVault.sol";
import {IRequestQueue} from "interfaces/IRequestQueue.sol";
import {Batches} from "contracts/libraries/Batches.sol";
import {LeverageMath, WAD} from "contracts/libraries/LeverageMath.sol";

/// @title Where users of a queued vault request and claim. It holds their collateral and shares, and all that the vault has
/// beside its venue account.
/// @notice Only the vault moves batches on; whoever made a request can take it back while it is not in flight.
/// @custom:stop Through the vault's terms the guardian keeps deposits waiting for a limited time, and new ones out as soon as
/// that is known here. Redemptions, claims and cancellations cannot be stopped.
contract RequestQueue is IRequestQueue, ReentrancyGuardTransient {
    using Batches for Batches.Side;
    using SafeERC20 for IERC20;

    /// @dev How long, in seconds, a batch whose orders fail is carried on.
    uint256 private constant PATIENCE = 1 hours;

    /// @inheritdoc IERC7575
    address public immutable asset;
    /// @inheritdoc IRequestQueue
    address public vault;
    ILeveragedToken private _token;
    /// @inheritdoc IERC7540Operator
    mapping(address controller => mapping(address operator => bool)) public isOperator;
    Batches.Side private _deposits;
    Batches.Side private _redemptions;

    constructor(address asset_) {
        asset = asset_;
        _deposits.open(0);
        _redemptions.open(type(uint256).max);
    }

    modifier onlyVault() {
        require(msg.sender == vault, OnlyVault(msg.sender, vault));
        _;
    }

    /* VIEWS */

    /// @inheritdoc IERC7575
    function share() external view returns (address) {
        return address(_token);
    }

    /// @notice ERC-165: ERC-7540 operators, deposits, redemptions; ERC-7575.
    function supportsInterface(bytes4 id) external pure returns (bool) {
        return
            id == 0xe3bc4e65 || id == 0xce3bbe50 || id == 0x620ee8e4 || id == 0x2f0a18c5
                || id == type(IERC165).interfaceId;
    }

    /// @inheritdoc IERC7575
    function totalAssets() external view returns (uint256) {
        ILeveragedVault.Snapshot memory s = _snapshot();
        return s.supply == 0 || s.equity <= 0 ? 0 : uint256(s.equity) / _scale();
    }

    /// @inheritdoc IERC7575
    function convertToShares(uint256 assets) external view returns (uint256) {
        ILeveragedVault.Snapshot memory s = _snapshot();
        return LeverageMath.toSharesDown(assets * _scale(), s.equity, s.supply);
    }

    /// @inheritdoc IERC7575
    function convertToAssets(uint256 shares) external view returns (uint256) {
        return shares * _snapshot().nav / WAD / _scale();
    }

    /// @inheritdoc IERC7540Deposit
    function pendingDepositRequest(uint256 id, address controller) external view returns (uint256) {
        return _deposits.pending(id, controller, false);
    }

    /// @inheritdoc IERC7540Deposit
    function claimableDepositRequest(uint256 id, address controller) external view returns (uint256) {
        return _deposits.claimableOf(id, controller, false);
    }

    /// @inheritdoc IRequestQueue
    function refundableDepositRequest(uint256 id, address controller) external view returns (uint256) {
        return _deposits.refundableOf(id, controller);
    }

    /// @inheritdoc IRequestQueue
    function refundableRedeemRequest(uint256 id, address controller) external view returns (uint256) {
        return _redemptions.refundableOf(id, controller);
    }

    /// @inheritdoc IERC7540Redeem
    function pendingRedeemRequest(uint256 id, address controller) external view returns (uint256) {
        return _redemptions.pending(id, controller, _isShort());
    }

    /// @inheritdoc IERC7540Redeem
    function claimableRedeemRequest(uint256 id, address controller) external view returns (uint256) {
        return _redemptions.claimableOf(id, controller, _isShort());
    }

    /// @inheritdoc IERC7575
    function maxDeposit(address controller) external view returns (uint256) {
        return _deposits.claimable(controller, false).amount;
    }

    /// @inheritdoc IERC7575
    function maxMint(address controller) external view returns (uint256) {
        return _deposits.claimable(controller, false).result;
    }

    /// @inheritdoc IERC7575
    function maxRedeem(address controller) external view returns (uint256) {
        return _redemptions.claimable(controller, _isShort()).amount;
    }

    /// @inheritdoc IERC7575
    function maxWithdraw(address controller) external view returns (uint256) {
        return _redemptions.claimable(controller, _isShort()).result;
    }

    /// @inheritdoc IERC7575
    /// @dev ERC-7540: nobody knows the price of a later fill.
    function previewDeposit(uint256) external pure returns (uint256) {
        revert PreviewImpossible();
    }

    /// @inheritdoc IERC7575
    function previewMint(uint256) external pure returns (uint256) {
        revert PreviewImpossible();
    }

    /// @inheritdoc IERC7575
    function previewWithdraw(uint256) external pure returns (uint256) {
        revert PreviewImpossible();
    }

    /// @inheritdoc IERC7575
    function previewRedeem(uint256) external pure returns (uint256) {
        revert PreviewImpossible();
    }

    /// @inheritdoc IRequestQueue
    function room() external view returns (uint256) {
        (uint256 today, uint256 beforeCap,) = IQueuedVault(vault).roomFor(_deposits.closed());
        return Math.saturatingSub(Math.min(today, beforeCap), _deposits.batches[_deposits.tail].amount);
    }

    /// @inheritdoc IRequestQueue
    function next() external view returns (uint256 assets, uint256 shares, uint256 first, uint256 second) {
        (assets, first) = _deposits.next();
        (shares, second) = _redemptions.next();
    }

    /// @inheritdoc IRequestQueue
    function inFlight() external view returns (uint256, uint256) {
        return (_deposits.inFlight(), _redemptions.inFlight());
    }

    /* REQUESTS */

    /// @inheritdoc IERC7540Operator
    function setOperator(address operator, bool approved) external returns (bool) {
        isOperator[msg.sender][operator] = approved;
        emit OperatorSet({controller: msg.sender, operator: operator, approved: approved});
        return true;
    }

    /// @inheritdoc IERC7540Deposit
    function requestDeposit(uint256 assets, address controller, address owner) external returns (uint256) {
        return requestDeposit(assets, controller, owner, false);
    }

    /// @inheritdoc IRequestQueue
    function requestDeposit(uint256 assets, address controller, address owner, bool isRefunded)
        public
        nonReentrant
        returns (uint256 id)
    {
        _requireOperator(owner);
        if (!_deposits.takes(assets)) _askForRoom(assets);
        id = _deposits.join(controller, assets, isRefunded, _isFor(controller));
        emit DepositRequest({controller: controller, owner: owner, requestId: id, sender: msg.sender, assets: assets});
        uint256 held = IERC20(asset).balanceOf(address(this));
        IERC20(asset).safeTransferFrom(owner, address(this), assets);
        uint256 got = IERC20(asset).balanceOf(address(this)) - held;
        require(got == assets, TransferShort(got, assets));
    }

    /// @inheritdoc IERC7540Redeem
    function requestRedeem(uint256 shares, address controller, address owner) external returns (uint256) {
        return requestRedeem(shares, controller, owner, false);
    }

    /// @inheritdoc IRequestQueue
    function requestRedeem(uint256 shares, address controller, address owner, bool isRefunded)
        public
        nonReentrant
        returns (uint256 id)
    {
        require(shares > 0, RequestTooSmall(shares, 1));
        id = _redemptions.join(controller, shares, isRefunded, _isFor(controller));
        emit RedeemRequest({controller: controller, owner: owner, requestId: id, sender: msg.sender, shares: shares});
        _token.pull(isOperator[owner][msg.sender] ? owner : msg.sender, owner, shares);
    }

    /// @inheritdoc IRequestQueue
    function cancelDepositRequest(uint256 id, address receiver, address controller) external returns (uint256) {
        // What has been at the venue may not be back. Whatever comes of it is told here, so this comes before the guard.
        if (id != _deposits.tail && _isShort()) {
            IQueuedVault(vault).collectCash();
            require(!_isShort(), CashInTransit(IQueuedVault(vault).cashShort()));
        }
        return _cancelDeposit(id, receiver, controller);
    }

    function _cancelDeposit(uint256 id, address receiver, address controller)
        private
        nonReentrant
        returns (uint256 assets)
    {
        _requireOperator(controller);
        assets = _deposits.cancel(controller, id);
        emit DepositRequestCancelled({
            controller: controller, receiver: receiver, requestId: id, sender: msg.sender, assets: assets
        });
        IERC20(asset).safeTransfer(receiver, assets);
    }

    /// @inheritdoc IRequestQueue
    function cancelRedeemRequest(uint256 id, address receiver, address controller)
        external
        nonReentrant
        returns (uint256 shares)
    {
        _requireOperator(controller);
        shares = _redemptions.cancel(controller, id);
        emit RedeemRequestCancelled({
            controller: controller, receiver: receiver, requestId: id, sender: msg.sender, shares: shares
        });
        _token.transfer(receiver, shares);
    }

    /* CLAIMS */

    /// @inheritdoc IERC7575
    function deposit(uint256 assets, address receiver) external returns (uint256) {
        return deposit(assets, receiver, msg.sender);
    }

    /// @inheritdoc IERC7540Deposit
    function deposit(uint256 assets, address receiver, address controller)
        public
        nonReentrant
        returns (uint256 shares)
    {
        _requireClaim(controller, assets);
        shares = _deposits.take(controller, assets, false);
        _giveShares(assets, shares, receiver, controller);
    }

    /// @inheritdoc IERC7575
    function mint(uint256 shares, address receiver) external returns (uint256) {
        return mint(shares, receiver, msg.sender);
    }

    /// @inheritdoc IERC7540Deposit
    function mint(uint256 shares, address receiver, address controller) public nonReentrant returns (uint256 assets) {
        _requireClaim(controller, shares);
        assets = _deposits.takeResult(controller, shares, false);
        _giveShares(assets, shares, receiver, controller);
    }

    /// @inheritdoc IERC7575
    function redeem(uint256 shares, address receiver, address controller)
        external
        nonReentrant
        returns (uint256 assets)
    {
        _requireClaim(controller, shares);
        assets = _redemptions.take(controller, shares, _isShort());
        _giveAssets(assets, shares, receiver, controller);
    }

    /// @inheritdoc IERC7575
    function withdraw(uint256 assets, address receiver, address controller)
        external
        nonReentrant
        returns (uint256 shares)
    {
        _requireClaim(controller, assets);
        shares = _redemptions.takeResult(controller, assets, _isShort());
        _giveAssets(assets, shares, receiver, controller);
    }

    /* THE VAULT'S DOORS */

    /// @inheritdoc IRequestQueue
    function bind(ILeveragedToken token) external {
        require(vault == address(0), AlreadyBound(vault));
        vault = msg.sender;
        _token = token;
        emit Bound({vault: msg.sender});
    }

    /// @inheritdoc IRequestQueue
    function commit(bool deposits, bool redemptions, uint256 margin, address receiver) external onlyVault nonReentrant {
        if (deposits) _deposits.commit();
        if (redemptions) _redemptions.commit();
        if (margin > 0) IERC20(asset).safeTransfer(receiver, margin);
    }

    /// @inheritdoc IRequestQueue
    function settle(bool deposits, uint256 shares, uint256 assets, uint256 unfilled, uint256 room_, uint256 least)
        external
        onlyVault
        nonReentrant
    {
        if (deposits) _deposits.settle(shares, unfilled);
        if (_redemptions.isInFlight) _redemptions.settle(assets, unfilled);
        _deposits.limit(Math.saturatingSub(room_, _deposits.closed()), least);
    }

    /// @inheritdoc IRequestQueue
    function fail(bool deposits) external onlyVault nonReentrant {
        Batches.Side storage side = deposits ? _deposits : _redemptions;
        if (side.isInFlight) side.carry(PATIENCE);
    }

    /// @inheritdoc IRequestQueue
    function refund(uint256 lost) external onlyVault nonReentrant {
        _deposits.refund(_deposits.inFlight() - lost);
    }

    /// @inheritdoc IRequestQueue
    function writeOff(uint256 assets) external onlyVault nonReentrant returns (uint256) {
        return _redemptions.writeOff(assets);
    }

    /// @inheritdoc IRequestQueue
    function close() external onlyVault nonReentrant {
        _deposits.limit(0, 1);
    }

    /// @inheritdoc IRequestQueue
    function pay(address receiver, uint256 assets) external onlyVault nonReentrant {
        IERC20(asset).safeTransfer(receiver, assets);
    }

    /* INTERNALS */

    /// @dev What the vault said at the last settlement does not allow a deposit: ask again, and tell why not.
    function _askForRoom(uint256 assets) private {
        (uint256 today, uint256 beforeCap, uint256 least) = IQueuedVault(vault).roomFor(_deposits.closed());
        uint256 waiting = _deposits.batches[_deposits.tail].amount;
        require(assets >= least, RequestTooSmall(assets, least));
        require(waiting + assets <= today, DailyCapExceeded(assets, Math.saturatingSub(today, waiting)));
        require(waiting + assets <= beforeCap, TotalCapExceeded(assets, Math.saturatingSub(beforeCap, waiting)));
        _deposits.limit(Math.min(today, beforeCap), least);
    }

    function _giveShares(uint256 assets, uint256 shares, address receiver, address controller) private {
        emit Deposit({sender: controller, owner: receiver, assets: assets, shares: shares});
        _token.transfer(receiver, shares);
    }

    function _giveAssets(uint256 assets, uint256 shares, address receiver, address controller) private {
        emit Withdraw({sender: msg.sender, receiver: receiver, owner: controller, assets: assets, shares: shares});
        IERC20(asset).safeTransfer(receiver, assets);
    }

    function _snapshot() private view returns (ILeveragedVault.Snapshot memory) {
        return ILeveragedVault(vault).snapshot();
    }

    function _scale() private view returns (uint256) {
        return 10 ** (18 - ILeveragedToken(asset).decimals());
    }

    function _isShort() private view returns (bool) {
        return IQueuedVault(vault).cashShort() > 0;
    }

    function _requireClaim(address controller, uint256 amount) private view {
        require(amount > 0, ZeroAmount());
        _requireOperator(controller);
    }

    function _requireOperator(address controller) private view {
        require(_isFor(controller), NotOperator(msg.sender, controller));
    }

    function _isFor(address controller) private view returns (bool) {
        return msg.sender == controller || isOperator[controller][msg.sender];
    }
}
