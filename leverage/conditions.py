"""What a token meets now: what its venue asks and charges beside fees, and how the index moved of late."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from leverage import leverage_math as lm
from leverage.chain import Chain, Contract
from leverage.errors import LeverageError, UnreachableError
from leverage.quote import Conditions
from leverage.types import DAY, WAD

WINDOW = 30 * DAY  # Seconds of the past from which a volatility is told.
SAMPLES = 90  # Rounds that are read of them.
LEAST_ROUNDS, LEAST_TIME = 8, DAY  # With less nothing is told.


class Venue:
    """The venue of one token. One that nobody here knows tells nothing."""

    def __init__(self, chain: Chain, symbol: str):
        entry = chain.record.token(symbol)
        self.chain = chain
        self.adapter = chain.contract(entry["adapterKind"], entry["adapter"])

    def conditions(self) -> Conditions:
        """All that it tells."""
        return Conditions(told(self.maintenance), told(self.funding), self.deposit())

    def maintenance(self) -> int | None:
        """The fraction of its notional at which a position is liquidated, WAD."""
        return None

    def funding(self) -> int | None:
        """What longs pay per day now, as a fraction of the notional, WAD."""
        return None

    def deposit(self) -> int:
        """What goes with each order to whoever executes it, WAD of collateral."""
        return 0


class PerpV2(Venue):
    def maintenance(self) -> int | None:
        """The venue's fixed ratio."""
        return int(self._config.call("getMmRatio") * WAD // 10**6)

    def funding(self) -> int | None:
        """The pool's premium over the index, both as means over some minutes, within the venue's limit."""
        base, seconds = self.adapter.call("baseToken"), self._config.call("getTwapInterval")
        root = _contract(self.chain, self.adapter.call("exchange")).call(
            "getSqrtMarketTwapX96", base, seconds
        )
        index: int = _contract(self.chain, base).call("getIndexPrice", seconds)
        most = self._config.call("getMaxFundingRate") * WAD // 10**6
        premium = lm.div(((root * root * WAD >> 192) - index) * WAD, index)
        return int(max(-most, min(most, premium)))

    @property
    def _config(self) -> Contract:
        house = _contract(self.chain, self.adapter.call("clearingHouse"))
        return _contract(self.chain, house.call("getClearingHouseConfig"))


class Synthetix(Venue):
    def maintenance(self) -> int | None:
        """What is left of the notional where the venue would liquidate the position, if there is one."""
        price, is_invalid = self._market.call("liquidationPrice", self.adapter.address)
        p = self.adapter.call("position")
        held = abs(lm.notional(p["size"], price))
        if is_invalid or held == 0:
            return None
        return max(0, lm.div(lm.equity(p["cash"], p["size"], price) * WAD, held))

    def funding(self) -> int | None:
        """The venue's rate, which drifts with the skew."""
        return int(self._market.call("currentFundingRate"))

    def deposit(self) -> int:
        """The venue's least keeper fee."""
        store = _contract(self.chain, self.adapter.call("store"))
        return int(store.call("getUIntValue", _key("PerpsV2MarketSettings"), _key("perpsV2MinKeeperFee")))

    @property
    def _market(self) -> Contract:
        return _contract(self.chain, self.adapter.call("market"))


VENUES: dict[str, type[Venue]] = {"PerpV2Adapter": PerpV2, "SynthetixPerpsV2Adapter": Synthetix}


def venue_of(chain: Chain, symbol: str) -> Venue:
    """A token's venue, by the kind of its adapter."""
    return VENUES.get(chain.record.token(symbol)["adapterKind"], Venue)(chain, symbol)


@dataclass(frozen=True)
class Rounds:
    """What an oracle answered, oldest first: times in seconds, prices in its own decimals."""

    time: list[int]
    price: list[int]

    @property
    def is_enough(self) -> bool:
        """Whether a volatility can be told from them."""
        return len(self.time) >= LEAST_ROUNDS and self.time[-1] - self.time[0] >= LEAST_TIME


def rounds(chain: Chain, symbol: str, now: int) -> Rounds:
    """Some rounds of a token's oracle in the last thirty days, evenly chosen, of its present phase."""
    oracle = chain.contract("ChainlinkOracle", chain.record.token(symbol)["oracle"])
    feed = _contract(chain, oracle.call("feed"))
    latest: int = feed.call("latestRoundData")[0]
    phase, last = latest >> 64 << 64, latest & (2**64 - 1)

    def answer(number: int) -> tuple[int, int] | None:
        found = told(feed.call, "getRoundData", phase + number)
        return (found[3], found[1]) if found and found[1] > 0 and found[3] > 0 else None

    # The first round of the window; one that the feed has lost counts as older.
    low, high = 1, last
    while low < high:
        middle = (low + high) // 2
        found = answer(middle)
        if found is None or found[0] < now - WINDOW:
            low = middle + 1
        else:
            high = middle
    step = max(1, lm.ceil_div(last - low, SAMPLES))
    answers = [found for number in range(last, low - 1, -step) if (found := answer(number))][::-1]
    return Rounds([time for time, _ in answers], [price for _, price in answers])


def told(ask: Callable[..., Any], *arguments: Any) -> Any:
    """What a chain answers; None where a contract reverts, or the node does not know."""
    try:
        return ask(*arguments)
    except UnreachableError:
        raise
    except LeverageError:
        return None


# What is asked of others' contracts


def _view(signature: str, *outputs: str) -> dict[str, Any]:
    """The ABI entry of a view with unnamed fields."""
    name, inputs = signature.rstrip(")").split("(")
    return {
        "type": "function",
        "name": name,
        "inputs": [{"name": "", "type": kind} for kind in inputs.split(",") if kind],
        "outputs": [{"name": "", "type": kind} for kind in outputs],
    }


_ROUND = ("uint80", "int256", "uint256", "uint256", "uint80")
VIEWS = [
    _view("latestRoundData()", *_ROUND),
    _view("getRoundData(uint80)", *_ROUND),
    _view("getClearingHouseConfig()", "address"),
    _view("getMmRatio()", "uint24"),
    _view("getTwapInterval()", "uint32"),
    _view("getMaxFundingRate()", "uint24"),
    _view("getSqrtMarketTwapX96(address,uint32)", "uint160"),
    _view("getIndexPrice(uint256)", "uint256"),
    _view("getUIntValue(bytes32,bytes32)", "uint256"),
    _view("currentFundingRate()", "int256"),
    _view("liquidationPrice(address)", "uint256", "bool"),
]


def _contract(chain: Chain, address: str) -> Contract:
    return Contract(chain, address, VIEWS)


def _key(text: str) -> bytes:
    return text.encode().ljust(32, b"\0")
