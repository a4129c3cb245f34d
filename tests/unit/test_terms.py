"""What may change about a vault, who may change it, and within which bounds (E-4, E-7, I-12)."""

from dataclasses import astuple, fields, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from market import FEES, caps, only, policy, reverts, wad

from leverage.types import DAY, GUARDIAN_ROLE, WAD, Caps, Fees, Policy

GEARING = 3 * WAD
VENUE_MAX = 10 * WAD
HOUR = 3_600
ZERO = "0x" + "00" * 20
NAMES = [field.name for field in fields(Policy)]


def label(name):
    """A field's name as the contract has it, in 32 bytes."""
    head, *rest = name.split("_")
    return (head + "".join(word.capitalize() for word in rest)).encode().ljust(32, b"\0")


def bounds(p, name):
    """The hard bounds of a field, some of which depend on the others."""
    return {
        "triggers": (0, 7),
        "period": (HOUR, 7 * DAY),
        "offset": (0, p.period - 1),
        "exclusive": (0, min(2 * HOUR, p.period - 1)),
        "cooldown": (0, HOUR),
        "band_min": (0, GEARING - 1),
        "band_max": (GEARING + 1, VENUE_MAX * 8 // 10),
        "emergency_move": (wad("0.01"), wad("0.5")),
        "tolerance": (wad("0.001"), GEARING // 10),
        "drift": (p.tolerance, GEARING // 2),
        "max_slippage": (wad("0.0005"), wad("0.05")),
        "emergency_slippage": (p.max_slippage, wad("0.2")),
        "tip_rate": (0, wad("0.1")),
        "tip_cap": (0, wad(10)),
        "min_notional": (0, wad(10_000)),
        "max_notional": (p.min_notional + 1, 2**128 - 1),
    }[name]


@pytest.fixture
def terms(world, project, owner, treasury):
    """Terms of their own, whose timelock does not wait."""
    return project.VaultTerms.deploy(
        world.direct, GEARING, VENUE_MAX, treasury, astuple(policy(GEARING)), astuple(FEES), astuple(caps(6)),
        sender=owner,
    )  # fmt: skip


def test_read__new_terms__are_those_given(long, treasury, keeper, guardian):
    terms = long.terms

    assert tuple(terms.policy()) == astuple(policy(GEARING))
    assert tuple(terms.fees()) == astuple(FEES)
    assert tuple(terms.caps()) == astuple(caps(6))
    assert terms.treasury() == treasury
    assert (terms.pausedUntil(), terms.isPauseArmed()) == (0, True)
    assert (terms.isKeeper(keeper), terms.isKeeper(guardian)) == (True, False)
    assert terms.limits() == (terms.policy().bandMax, caps(6).daily, caps(6).total, 0)
    assert terms.rates() == (FEES.mint, FEES.burn, 0, treasury)


SETTERS = {
    "setPolicy": (astuple(policy(GEARING, cooldown=7)),),
    "setFees": (astuple(Fees(1, 2, 3)),),
    "setCaps": (astuple(Caps(4, 5)),),
    "setTreasury": ("0x00000000000000000000000000000000000000aA",),
    "rearmPause": (),
}


@pytest.mark.parametrize("setter", SETTERS)
def test_set__by_anybody_but_the_timelock__reverts(long, setter, outsider, keeper, guardian, treasury):
    for caller in (outsider, keeper, guardian, treasury):
        with reverts(long.terms.AccessManagedUnauthorized, caller=caller):
            getattr(long.terms, setter)(*SETTERS[setter], sender=caller)


@pytest.mark.parametrize("setter", SETTERS)
def test_set__before_the_delay__reverts(long, world, chain, owner, outsider, setter):
    timelock, method = world.timelocked, getattr(long.terms, setter)
    data = method.encode_input(*SETTERS[setter])
    operation = timelock.hashOperation(owner, long.terms, data)
    with reverts(timelock.AccessManagerNotScheduled, operationId=operation):
        method(*SETTERS[setter], sender=owner)
    timelock.schedule(long.terms, data, 0, sender=owner)

    long.wait(2 * DAY - 1)
    with reverts(timelock.AccessManagerNotReady, operationId=operation):
        method(*SETTERS[setter], sender=owner)
    long.wait(1)
    method(*SETTERS[setter], sender=owner)

    with reverts(timelock.AccessManagerNotScheduled, operationId=operation):
        method(*SETTERS[setter], sender=owner)


def test_set__after_the_delay__holds_and_says_so(long, timelocked, outsider):
    terms = long.terms

    log = only(timelocked(terms.setPolicy, *SETTERS["setPolicy"]), terms.PolicyChanged)
    assert tuple(log.policy) == tuple(terms.policy()) == SETTERS["setPolicy"][0]
    log = only(timelocked(terms.setFees, *SETTERS["setFees"]), terms.FeesChanged)
    assert tuple(log.fees) == tuple(terms.fees()) == (1, 2, 3)
    log = only(timelocked(terms.setCaps, *SETTERS["setCaps"]), terms.CapsChanged)
    assert tuple(log.caps) == tuple(terms.caps()) == (4, 5)
    log = only(timelocked(terms.setTreasury, outsider), terms.TreasuryChanged)
    assert log.treasury == terms.treasury() == outsider


@pytest.mark.parametrize("name", NAMES)
def test_set_policy__each_field__holds_at_its_bounds_and_not_beyond(terms, owner, name):
    p = policy(GEARING)
    low, high = bounds(p, name)

    for value in (low, high):
        changed = replace(p, **{name: value})
        # What is bounded by this field goes along.
        if name == "period":
            changed = replace(changed, offset=0, exclusive=0)
        if name == "tolerance":
            changed = replace(changed, drift=max(p.drift, value))
        if name == "max_slippage":
            changed = replace(changed, emergency_slippage=max(p.emergency_slippage, value))
        terms.setPolicy(astuple(changed), sender=owner)
        assert tuple(terms.policy()) == astuple(changed)
    held = terms.policy()
    for value in (low - 1, high + 1):
        if 0 <= value < 2**128:
            with reverts(terms.PolicyOutOfBounds, field=label(name), value=value, min=low, max=high):
                terms.setPolicy(astuple(replace(p, **{name: value})), sender=owner)
    assert terms.policy() == held


WIDTHS = {"triggers": 8, "period": 32, "offset": 32, "exclusive": 32, "cooldown": 32}
WIDTHS |= {"min_notional": 128, "max_notional": 128}


def values(name):
    """Any value of a field's type, and often one near its bounds."""
    edges = [edge for bound in bounds(policy(GEARING), name) for edge in (bound - 1, bound, bound + 1)]
    top = 2 ** WIDTHS.get(name, 64) - 1
    return st.one_of(st.sampled_from([min(max(edge, 0), top) for edge in edges]), st.integers(0, top))


def first_broken(p):
    """The bound that the contract finds broken first, or None. It looks at tolerance before drift."""
    order = [*NAMES[:8], "tolerance", "drift", *NAMES[10:]]
    for name in order:
        low, high = bounds(p, name)
        if not low <= getattr(p, name) <= high:
            return label(name), getattr(p, name), low % 2**256, high % 2**256
    return None


def test_set_policy__anything__is_taken_only_inside_all_bounds(terms, owner):
    changes = st.dictionaries(st.sampled_from(NAMES), st.none(), min_size=1, max_size=3).flatmap(
        lambda names: st.fixed_dictionaries({name: values(name) for name in names})
    )

    @settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
    @given(changes)
    def agree(changes):
        p = replace(policy(GEARING), **changes)
        broken = first_broken(p)
        if broken is None:
            terms.setPolicy.call(astuple(p), sender=owner)
        else:
            arguments = dict(zip(("field", "value", "min", "max"), broken, strict=True))
            with reverts(terms.PolicyOutOfBounds, **arguments):
                terms.setPolicy.call(astuple(p), sender=owner)

    agree()


@pytest.mark.parametrize(
    ("name", "most"), [("mint", WAD // 100), ("burn", WAD // 100), ("managementPerDay", WAD // 1_000)]
)
def test_set_fees__each__holds_at_its_cap_and_not_above(terms, owner, name, most):
    at = {"mint": 0, "burn": 0, "managementPerDay": 0}

    terms.setFees(tuple({**at, name: most}.values()), sender=owner)
    assert getattr(terms.fees(), name) == most
    with reverts(terms.FeeOutOfBounds, field=name.encode().ljust(32, b"\0"), value=most + 1, max=most):
        terms.setFees(tuple({**at, name: most + 1}.values()), sender=owner)


def test_set_treasury__to_nobody__reverts(terms, owner):
    with reverts(terms.ZeroAddress):
        terms.setTreasury(ZERO, sender=owner)


def test_rates__after_a_change_of_fees__integrate_both(long, terms, owner):
    long.wait(10 * DAY)
    terms.setFees(astuple(Fees(0, 0, WAD // 1_000)), sender=owner)
    long.wait(5 * DAY)

    assert terms.rates()[2] == 10 * FEES.management_per_day + 5 * WAD // 1_000


def test_pause__by_the_guardian__lasts_as_long_as_said(long, guardian):
    tx = long.terms.pause(3 * HOUR, sender=guardian)

    log = only(tx, long.terms.Paused)
    assert (log.caller, log.until) == (guardian, long.now + 3 * HOUR)
    assert long.terms.pausedUntil() == long.vault.snapshot().pausedUntil == log.until
    assert not long.terms.isPauseArmed()


def test_pause__or_resume__by_anybody_else__reverts(long, owner, keeper, outsider):
    for caller in (owner, keeper, outsider):
        with reverts(long.terms.OnlyRole, caller=caller, role=GUARDIAN_ROLE):
            long.terms.pause(1, sender=caller)
        with reverts(long.terms.OnlyRole, caller=caller, role=GUARDIAN_ROLE):
            long.terms.resume(sender=caller)


def test_pause__longer_than_the_limit__reverts(long, guardian):
    most = long.terms.MAX_PAUSE()
    assert most == 7 * DAY

    with reverts(long.terms.PauseTooLong, duration=most + 1, max=most):
        long.terms.pause(most + 1, sender=guardian)
    long.terms.pause(most, sender=guardian)

    assert long.terms.pausedUntil() == long.now + most


def test_pause__a_second_time__needs_the_timelock(long, timelocked, guardian):
    long.terms.pause(HOUR, sender=guardian)
    with reverts(long.terms.PauseNotArmed):
        long.terms.pause(HOUR, sender=guardian)
    long.wait(30 * DAY)
    with reverts(long.terms.PauseNotArmed):
        long.terms.pause(HOUR, sender=guardian)

    tx = timelocked(long.terms.rearmPause)

    assert only(tx, long.terms.PauseRearmed).caller == long.terms.authority()
    long.terms.pause(HOUR, sender=guardian)
    assert long.terms.pausedUntil() == long.now + HOUR


def test_resume__during_a_pause__ends_it_and_gives_no_second_one(long, guardian, redeemer):
    long.terms.pause(DAY, sender=guardian)

    tx = long.terms.resume(sender=guardian)

    assert only(tx, long.terms.Resumed).caller == guardian
    assert long.terms.pausedUntil() == 0
    long.deposit(redeemer, 100)
    with reverts(long.terms.PauseNotArmed):
        long.terms.pause(DAY, sender=guardian)


def test_create__without_an_authority_or_a_treasury__reverts(world, project, owner, terms):
    rest = astuple(policy(GEARING)), astuple(FEES), astuple(caps(6))

    for authority, treasury in ((ZERO, owner), (world.direct, ZERO)):
        with reverts(terms.ZeroAddress):
            project.VaultTerms.deploy(authority, GEARING, VENUE_MAX, treasury, *rest, sender=owner)


@pytest.mark.parametrize("target", ["0", "0.999999999999999999", "-0.999999999999999999", "5.1", "-5.1"])
def test_create__a_target_out_of_range__reverts(deploy, long, target):
    with reverts(long.vault.TargetOutOfRange, target=wad(target)):
        deploy(target)
