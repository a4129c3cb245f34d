"""The token: an ERC-20 with permit that only its vault mints and burns."""

from unittest.mock import ANY

import pytest
from market import only, reverts, wad

from leverage.types import DAY, WAD

PERMIT = {
    "Permit": [
        {"name": "owner", "type": "address"},
        {"name": "spender", "type": "address"},
        {"name": "value", "type": "uint256"},
        {"name": "nonce", "type": "uint256"},
        {"name": "deadline", "type": "uint256"},
    ]
}


@pytest.fixture
def permit(long, world, chain, minter):
    """The minter signs a permit; what differs from an ordinary one is named."""
    from eth_account import Account
    from eth_account.messages import encode_typed_data

    def sign(spender, value, deadline, nonce=None, token=long.token):
        domain = {
            "name": token.name(),
            "version": "1",
            "chainId": chain.chain_id,
            "verifyingContract": token.address,
        }
        message = {
            "owner": minter.address,
            "spender": spender.address,
            "value": value,
            "nonce": token.nonces(minter) if nonce is None else nonce,
            "deadline": deadline,
        }
        signed = Account.sign_message(encode_typed_data(domain, PERMIT, message), world.keys[minter.address])
        return signed.v, signed.r.to_bytes(32, "big"), signed.s.to_bytes(32, "big")

    return sign


def test_read__a_new_token__says_what_it_is(long, world):
    token = long.token

    assert (token.name(), token.symbol(), token.decimals()) == ("ETH 3x Long", "ETH3L", 18)
    assert token.vault() == long.vault.address
    assert token.vault(long.asset) == long.vault.address
    assert token.vault(world.assets[18]) == "0x" + "00" * 20
    assert long.vault.share() == token.address
    assert token.totalSupply() == wad(10_000)


def test_mint__by_anybody_but_the_vault__reverts(long, owner, minter):
    for caller in (owner, minter):
        with reverts(long.token.OnlyVault, caller=caller, vault=long.vault):
            long.token.mint(caller, 1, sender=caller)


def test_burn__by_anybody_but_the_vault__reverts(long, owner, minter):
    for caller in (owner, minter):
        with reverts(long.token.OnlyVault, caller=caller, vault=long.vault):
            long.token.burn(caller, minter, 1, sender=caller)


def test_transfer__part_of_a_balance__moves_it(long, minter, outsider):
    tx = long.token.transfer(outsider, wad(4_000), sender=minter)

    log = only(tx, long.token.Transfer)
    assert (log["from"], log.to, log.value) == (minter, outsider, wad(4_000))
    assert long.token.balanceOf(minter) == wad(6_000)
    assert long.token.balanceOf(outsider) == wad(4_000)
    assert long.token.totalSupply() == wad(10_000)


def test_transfer__more_than_a_balance__reverts(long, minter, outsider):
    balance = long.token.balanceOf(minter)

    with reverts(long.token.ERC20InsufficientBalance, sender=minter, balance=balance, needed=balance + 1):
        long.token.transfer(outsider, balance + 1, sender=minter)


def test_transfer_from__within_the_allowance__spends_it(long, minter, redeemer, outsider):
    long.token.approve(redeemer, WAD, sender=minter)

    long.token.transferFrom(minter, outsider, WAD, sender=redeemer)

    assert long.token.allowance(minter, redeemer) == 0
    assert long.token.balanceOf(outsider) == WAD
    with reverts(long.token.ERC20InsufficientAllowance, spender=redeemer, allowance=0, needed=1):
        long.token.transferFrom(minter, outsider, 1, sender=redeemer)


def test_permit__signed_by_the_holder__lets_the_spender_redeem(long, permit, minter, redeemer):
    v, r, s = permit(redeemer, WAD, long.now)

    long.token.permit(minter, redeemer, WAD, long.now, v, r, s, sender=redeemer)

    assert long.token.allowance(minter, redeemer) == WAD
    assert long.token.nonces(minter) == 1
    tx = long.vault.redeem(WAD, redeemer, minter, sender=redeemer)
    assert long.asset.balanceOf(redeemer) == long.paid(tx)
    assert long.near(long.paid(tx), long.units("0.999"))
    assert long.token.allowance(minter, redeemer) == 0


def test_permit__after_its_deadline__reverts(long, permit, minter, redeemer):
    deadline = long.now - 1
    v, r, s = permit(redeemer, WAD, deadline)

    with reverts(long.token.ERC2612ExpiredSignature, deadline=deadline):
        long.token.permit(minter, redeemer, WAD, deadline, v, r, s, sender=redeemer)


def test_permit__of_another_value__reverts(long, permit, minter, redeemer):
    v, r, s = permit(redeemer, WAD, long.now)

    with reverts(long.token.ERC2612InvalidSigner, owner=minter, signer=ANY):
        long.token.permit(minter, redeemer, WAD + 1, long.now, v, r, s, sender=redeemer)


def test_permit__used_twice__reverts(long, permit, minter, redeemer):
    deadline = long.now + DAY
    v, r, s = permit(redeemer, WAD, deadline)
    long.token.permit(minter, redeemer, WAD, deadline, v, r, s, sender=redeemer)

    with reverts(long.token.ERC2612InvalidSigner, owner=minter, signer=ANY):
        long.token.permit(minter, redeemer, WAD, deadline, v, r, s, sender=redeemer)


def test_read__a_queued_vaults_token__names_the_queue_as_its_entry(queued, world):
    assert queued.token.vault() == queued.vault.address
    assert queued.token.vault(queued.asset) == queued.queue.address
    assert queued.token.vault(world.assets[18]) == "0x" + "00" * 20


def test_pull__by_anybody_but_the_entry__reverts(queued, long, owner, minter):
    for market, entry in ((queued, queued.queue), (long, long.vault)):
        for caller in (owner, minter):
            with reverts(market.token.OnlyVault, caller=caller, vault=entry):
                market.token.pull(caller, minter, 1, sender=caller)


def test_mint_and_burn__by_the_queue__are_the_vaults(queued, minter, outsider, world):
    queue = world.accounts.impersonate_account(queued.queue.address)
    queue.balance = 10**18

    with reverts(queued.token.OnlyVault, caller=queue, vault=queued.vault):
        queued.token.mint(outsider, 1, sender=queue)
    with reverts(queued.token.OnlyVault, caller=queue, vault=queued.vault):
        queued.token.burn(minter, minter, 1, sender=queue)
    queued.token.pull(minter, minter, WAD, sender=queue)

    assert queued.token.balanceOf(queued.queue) == WAD
    queued.token.transfer(minter, WAD, sender=queue)


def test_permit__signed_by_the_holder__lets_somebody_request(queued, permit, minter, redeemer):
    v, r, s = permit(redeemer, WAD, queued.now, token=queued.token)

    queued.token.permit(minter, redeemer, WAD, queued.now, v, r, s, sender=redeemer)
    queued.queue.requestRedeem(WAD, redeemer, minter, sender=redeemer)

    assert queued.queue.pendingRedeemRequest(1, redeemer) == WAD
    assert queued.token.allowance(minter, redeemer) == 0
