"""Claims of what is settled, and what the standards ask of a queue (ERC-7540, ERC-7575)."""

import pytest
from market import FEES, only, reverts, wad

from leverage import leverage_math as lm
from leverage.types import WAD


@pytest.fixture
def settled(queued, minter, redeemer):
    """1,000 in by the redeemer and 1,000 shares out by the minter, both to be claimed."""
    queued.request(redeemer, 1_000)
    queued.leave(minter, wad(1_000))
    queued.fill()
    return queued


def test_claim_deposit__whole__gives_all_shares(settled, redeemer):
    assets, shares = settled.units(1_000), settled.queue.maxMint(redeemer)
    assert settled.queue.maxDeposit(redeemer) == settled.queue.claimableDepositRequest(2, redeemer) == assets
    assert settled.queue.claimableDepositRequest(0, redeemer) == assets
    assert settled.queue.pendingDepositRequest(2, redeemer) == 0

    tx = settled.queue.deposit(assets, redeemer, redeemer, sender=redeemer)

    log = only(tx, settled.queue.Deposit)
    assert (log.sender, log.owner, log.assets, log.shares) == (redeemer, redeemer, assets, shares)
    assert settled.token.balanceOf(redeemer) == shares > 0
    assert settled.queue.maxDeposit(redeemer) == settled.queue.maxMint(redeemer) == 0
    assert settled.queue.claimableDepositRequest(2, redeemer) == 0


def test_claim_deposit__of_the_older_form__is_the_callers_own(settled, redeemer, outsider):
    shares = settled.queue.maxMint(redeemer)

    settled.queue.deposit(settled.units(400), outsider, sender=redeemer)
    settled.queue.mint(settled.queue.maxMint(redeemer), outsider, sender=redeemer)

    assert settled.token.balanceOf(outsider) == shares


def test_claim_redeem__whole__pays_all_assets(settled, minter):
    assets, shares = settled.queue.maxWithdraw(minter), settled.queue.maxRedeem(minter)
    assert shares == settled.queue.claimableRedeemRequest(1, minter) == wad(1_000)
    assert settled.queue.pendingRedeemRequest(1, minter) == 0

    tx = settled.queue.redeem(shares, minter, minter, sender=minter)

    log = only(tx, settled.queue.Withdraw)
    assert (log.sender, log.receiver, log.owner) == (minter, minter, minter)
    assert (log.assets, log.shares) == (assets, shares)
    assert settled.asset.balanceOf(minter) == assets > 0
    assert settled.queue.maxRedeem(minter) == settled.queue.maxWithdraw(minter) == 0


@pytest.mark.parametrize("by_result", [False, True], ids=["of the request", "of the result"])
def test_claim__in_parts__is_the_whole_to_the_last_unit(settled, minter, redeemer, by_result):
    queue = settled.queue
    shares, assets = queue.maxMint(redeemer), queue.maxWithdraw(minter)

    for part in (3, 2, 1):
        if by_result:
            queue.mint(queue.maxMint(redeemer) // part, redeemer, redeemer, sender=redeemer)
            queue.withdraw(queue.maxWithdraw(minter) // part, minter, minter, sender=minter)
        else:
            queue.deposit(queue.maxDeposit(redeemer) // part, redeemer, redeemer, sender=redeemer)
            queue.redeem(queue.maxRedeem(minter) // part, minter, minter, sender=minter)

    assert settled.token.balanceOf(redeemer) == shares
    assert settled.asset.balanceOf(minter) == assets
    assert queue.maxDeposit(redeemer) == queue.maxRedeem(minter) == 0


def test_claim__in_part__uses_up_its_part(settled, redeemer):
    shares = settled.queue.maxMint(redeemer)

    settled.queue.deposit(settled.units(250), redeemer, redeemer, sender=redeemer)

    assert settled.queue.maxDeposit(redeemer) == settled.units(750)
    assert settled.token.balanceOf(redeemer) == shares // 4
    assert settled.queue.maxMint(redeemer) == shares - shares // 4


def test_claim__more_than_there_is__reverts(settled, minter, redeemer):
    queue = settled.queue
    for claim, most, who in (
        (queue.deposit, queue.maxDeposit(redeemer), redeemer),
        (queue.mint, queue.maxMint(redeemer), redeemer),
        (queue.redeem, queue.maxRedeem(minter), minter),
        (queue.withdraw, queue.maxWithdraw(minter), minter),
    ):
        with reverts(queue.ExceedsClaimable, amount=most + 1, claimable=most):
            claim(most + 1, who, who, sender=who)


def test_claim__twice__reverts(settled, minter, redeemer):
    settled.claim(minter)
    settled.claim(redeemer)

    with reverts(settled.queue.ExceedsClaimable, amount=1, claimable=0):
        settled.queue.deposit(1, redeemer, redeemer, sender=redeemer)
    with reverts(settled.queue.ExceedsClaimable, amount=1, claimable=0):
        settled.queue.redeem(1, minter, minter, sender=minter)


def test_claim__of_nothing__reverts(settled, minter):
    queue = settled.queue
    for claim in (queue.deposit, queue.mint, queue.redeem, queue.withdraw):
        with reverts(queue.ZeroAmount):
            claim(0, minter, minter, sender=minter)


def test_claim__not_settled_yet__reverts(queued, minter, redeemer):
    queued.request(redeemer, 1_000)
    queued.leave(minter, wad(1_000))

    for act in (lambda: None, queued.commit):
        act()
        with reverts(queued.queue.ExceedsClaimable, amount=1, claimable=0):
            queued.queue.mint(1, redeemer, redeemer, sender=redeemer)
        with reverts(queued.queue.ExceedsClaimable, amount=1, claimable=0):
            queued.queue.withdraw(1, minter, minter, sender=minter)


def test_claim__of_several_batches__is_one_sum(queued, redeemer):
    """A controller's third request makes room by moving the oldest to a sum of its own."""
    shares = 0
    for index in (2_000, 2_010, 1_995, 2_000):
        before = queued.queue.maxMint(redeemer)
        queued.request(redeemer, 100)
        queued.fill(index)
        shares += queued.queue.maxMint(redeemer) - before
        queued.wait(60)

    assert queued.queue.maxDeposit(redeemer) == queued.units(400)
    assert queued.queue.claimableDepositRequest(2, redeemer) == 0
    assert queued.queue.claimableDepositRequest(5, redeemer) == queued.units(100)
    queued.queue.deposit(queued.units(400), redeemer, redeemer, sender=redeemer)
    assert queued.token.balanceOf(redeemer) == shares


def test_claim__of_a_batch_of_many__rounds_for_those_who_are_left(queued, minter, redeemer, outsider, keeper):
    for who, amount in ((redeemer, "33.333333"), (outsider, "66.666667"), (keeper, "17.000001")):
        queued.request(who, amount)
    queued.fill()
    total = queued.token.balanceOf(queued.queue)

    for who in (redeemer, outsider, keeper):
        queued.claim(who)

    assert sum(map(queued.token.balanceOf, (redeemer, outsider, keeper))) == total
    assert queued.token.balanceOf(queued.queue) == 0


def test_claim__later__is_at_the_price_of_the_fill(settled, minter, redeemer):
    """What is claimed is what was settled: no later loss, no later entrance."""
    shares, assets = settled.queue.maxMint(redeemer), settled.queue.maxWithdraw(minter)

    settled.price(1_700)

    assert (settled.queue.maxMint(redeemer), settled.queue.maxWithdraw(minter)) == (shares, assets)
    settled.claim(redeemer)
    settled.claim(minter)
    assert settled.token.balanceOf(redeemer) == shares
    assert settled.asset.balanceOf(minter) == assets


# The standards


def test_supports_interface__of_each_standard__and_of_no_other(queued):
    """The ids as the standards spell them; ERC-165's own; never 0xffffffff."""
    for number in ("e3bc4e65", "ce3bbe50", "620ee8e4", "2f0a18c5", "01ffc9a7"):
        assert queued.queue.supportsInterface(bytes.fromhex(number)), number
    for number in ("ffffffff", "00000000", "36372b07"):
        assert not queued.queue.supportsInterface(bytes.fromhex(number)), number


def test_previews__any__revert(queued):
    queue = queued.queue
    for preview in (queue.previewDeposit, queue.previewMint, queue.previewWithdraw, queue.previewRedeem):
        with reverts(queue.PreviewImpossible):
            preview(WAD)


def test_read__share_asset_and_vault__name_each_other(queued):
    assert queued.queue.share() == queued.token.address
    assert queued.queue.asset() == queued.asset.address
    assert queued.queue.vault() == queued.vault.address
    assert queued.vault.queue() == queued.token.vault(queued.asset) == queued.queue.address


def test_convert__any_amount__is_at_nav(queued, redeemer):
    queued.price(2_100)
    snap = queued.vault.snapshot()
    assert queued.queue.totalAssets() == snap.equity // queued.scale
    assert queued.queue.convertToAssets(wad(100)) == 100 * snap.nav // queued.scale
    shares = queued.queue.convertToShares(queued.units(115))
    assert shares == lm.to_shares_down(wad(115), snap.equity, snap.supply)
    queued.request(redeemer, 1_000)
    # What waits is not the holders'.
    assert queued.queue.totalAssets() == snap.equity // queued.scale


def test_convert__nobody_in_it__is_one_for_one(deploy):
    market = deploy(queued=True)

    assert market.queue.totalAssets() == 0
    assert market.queue.convertToShares(market.units(7)) == wad(7)
    assert market.queue.convertToAssets(wad(7)) == market.units(7)


def test_claim__fees__are_those_of_the_terms(settled, minter, redeemer, treasury, outsider):
    """E-4: 10 bp of what comes in and 10 bp of what goes out, collected by anyone for the treasury."""
    mint_fee = lm.fee_up(settled.units(1_000), FEES.mint)
    paid = settled.queue.maxWithdraw(minter)
    owed = settled.vault.feesOwed()
    # The seed's mint fee was owed before.
    seed = lm.gross_up(settled.units(10_000), FEES.mint) - settled.units(10_000)
    burn_fee = owed - seed - mint_fee
    assert burn_fee == lm.fee_up(paid + burn_fee, FEES.burn)

    tx = settled.vault.collectFees(sender=outsider)

    log = only(tx, settled.vault.FeesCollected)
    assert (log.treasury, log.assets) == (treasury, owed)
    assert settled.asset.balanceOf(treasury) == owed
    assert settled.vault.feesOwed() == 0
