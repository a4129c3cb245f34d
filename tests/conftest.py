"""Roles, and vaults on an ideal venue. Ape comes in through its fixtures: tests without it pay nothing."""

from dataclasses import astuple
from types import SimpleNamespace

import pytest
from haste import hasten_own
from market import FEES, NO_FEES, NOON, Market, QueuedMarket, caps, policy, wad

from leverage.types import ADMIN_ROLE, CREATOR_ROLE, DAY, GUARDIAN_ROLE, KEEPER_ROLE, WAD

DELAY = 2 * DAY
ZERO = "0x" + "00" * 20


def role(index):
    @pytest.fixture
    def account(world):
        return world.roles[index]

    return account


owner, keeper, guardian, treasury, minter, redeemer, outsider, attacker = map(role, range(8))


@pytest.fixture(scope="session")
def world(project, chain, accounts):
    """What all tests begin with. One fixture of the session, so that nothing is deployed twice."""
    hasten_own()
    # Time stands still unless a test moves it, so that a preview and its execution see the same second.
    chain.provider.make_request("anvil_setBlockTimestampInterval", [0])
    chain.pending_timestamp = NOON
    chain.mine()

    # Anvil signs for them: in Python a signature takes longer than the transaction.
    roles = [accounts.impersonate_account(account.address) for account in accounts[:8]]
    owner, keeper, guardian, treasury, minter = roles[:5]
    timelocked, direct = (project.Authority.deploy(owner, sender=owner) for _ in range(2))
    for authority, delay in ((timelocked, DELAY), (direct, 0)):
        authority.grantRole(KEEPER_ROLE, keeper, 0, sender=owner)
        authority.grantRole(GUARDIAN_ROLE, guardian, 0, sender=owner)
        authority.grantRole(CREATOR_ROLE, owner, 0, sender=owner)
        authority.grantRole(ADMIN_ROLE, owner, delay, sender=owner)
    assets = {
        decimals: project.MockERC20.deploy("USD", "USD", decimals, sender=owner) for decimals in (6, 8, 18)
    }

    def deploy(
        target=3,
        decimals=6,
        fees=FEES,
        price=2_000,
        timelock=False,
        feed_decimals=8,
        venue_max=10,
        cap=None,
        asset=None,
        receiver=treasury,
        uptime=None,
        queued=False,
        **changes,
    ):
        """A vault of its own, with nobody in it. `changes` are to the policy."""
        asset = asset or assets[decimals]
        feed = project.MockAggregator.deploy(feed_decimals, price * 10**feed_decimals, sender=owner)
        grace = 3_600 if uptime else 0
        oracle = project.ChainlinkOracle.deploy(feed, 3_600, wad("0.02"), uptime or ZERO, grace, sender=owner)
        venue = project.MockDelayedVenue if queued else project.MockAdapter
        adapter = venue.deploy(asset, sender=owner)
        adapter.setPrice(price * WAD, sender=owner)
        adapter.setMaxLeverage(venue_max * WAD, sender=owner)
        config = (
            "ETH 3x Long",
            "ETH3L",
            wad(target),
            adapter.address,
            oracle.address,
            (timelocked if timelock else direct).address,
            getattr(receiver, "address", receiver),
            astuple(policy(wad(target), **changes)),
            astuple(fees),
            astuple(cap or caps(asset.decimals())),
        )
        if queued:
            queue = project.RequestQueue.deploy(asset, sender=owner)
            vault = project.QueuedVault.deploy(config, queue, sender=owner)
        else:
            vault = project.InstantVault.deploy(config, sender=owner)
        token = project.LeveragedToken.at(vault.token())
        terms = project.VaultTerms.at(vault.terms())
        market = (chain, owner, asset, feed, oracle, adapter, vault, token, terms)
        return QueuedMarket(*market, queue) if queued else Market(*market)

    def seeded(target, decimals, **options):
        market = deploy(target, decimals, timelock=True, **options)
        (market.seed if isinstance(market, QueuedMarket) else market.mint)(minter, 10_000)
        return market

    return SimpleNamespace(
        roles=roles,
        accounts=accounts,
        keys={account.address: account.private_key for account in accounts[:8]},
        deploy=deploy,
        assets=assets,
        timelocked=timelocked,
        direct=direct,
        vacant=deploy(timelock=True),
        markets={key: seeded(*key) for key in ((3, 6), (3, 18), (-3, 6), (-3, 18))},
        queued={key: seeded(*key, queued=True) for key in ((3, 6), (3, 18), (-3, 6))},
        free=seeded(3, 6, queued=True, fees=NO_FEES, triggers=0, tip_rate=0),
    )


@pytest.fixture
def deploy(world):
    """Deploys vaults. What lies in the queue of one that has a queue is counted when the test is over."""
    made = []

    def deployed(*arguments, **options):
        made.append(world.deploy(*arguments, **options))
        return made[-1]

    yield deployed
    for market in made:
        if isinstance(market, QueuedMarket):
            market.audit(world.roles)


@pytest.fixture
def vacant(world):
    """A 3x vault that nobody has entered yet."""
    return world.vacant


@pytest.fixture
def long(world):
    """A 3x vault in which the minter has 10,000 shares, worth 10,000: 15 ETH at 2,000."""
    return world.markets[3, 6]


@pytest.fixture
def short(world):
    """The same at -3x."""
    return world.markets[-3, 6]


@pytest.fixture(params=[6, 18], ids=lambda decimals: f"{decimals} decimals")
def market(world, request):
    """The long vault, over collateral of 6 and of 18 decimals."""
    return world.markets[3, request.param]


@pytest.fixture(params=[3, -3], ids=["long", "short"])
def either(world, request):
    """The long and the short vault."""
    return world.markets[request.param, 6]


@pytest.fixture
def queued(world):
    """The long vault on a venue that fills later. What lies in its queue is counted when the test is over."""
    market = world.queued[3, 6]
    market.gifts = 0
    yield market
    market.audit(world.roles)


@pytest.fixture
def free(world):
    """The same without fees, tips and rebalances: to the unit, or nearly."""
    market = world.free
    market.gifts = 0
    yield market
    market.audit(world.roles)


@pytest.fixture
def timelocked(world, chain, owner):
    """Have the timelock call something: schedule, wait, execute."""

    def call(method, *arguments):
        data = method.encode_input(*arguments)
        world.timelocked.schedule(method.contract, data, 0, sender=owner)
        chain.pending_timestamp = chain.blocks.head.timestamp + DELAY
        return world.timelocked.execute(method.contract, data, sender=owner)

    return call
