"""A vault's ledger read back from its chain: bookings, rebalances, and what is known of the times between."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from leverage import leverage_math as lm
from leverage.chain import LOG_BLOCKS, Chain, Event
from leverage.conditions import told, venue_of
from leverage.errors import LeverageError
from leverage.explain import Entry, Life, Rebalance, Story, charged, lives
from leverage.market import DataError
from leverage.market.times import clock, parse_interval, parse_time
from leverage.twin.vault import Attribution
from leverage.types import WAD, Trigger

COUNTED = {
    "Deposit": "mints",
    "Withdraw": "burns",
    "Settled": "settlements of requests",
    "OrderFailed": "orders that failed",
}
EVENTS = ("Booked", "Rebalanced", "FeesChanged", "Ruined", *COUNTED)
FIRST_SECONDS = 10**9  # A number from here on is a time: no chain has that many blocks.
SAMPLES = 64  # Moments of one life at which the venue's funding rate is read.

# What is being done, and how far it is: so many of so many.
Tell = Callable[[str, int, int], None]


def read(chain: Chain, symbol: str, since: str, tell: Tell = lambda what, done, of: None) -> Story:
    """What became of a token since a date, a block, or a time ago such as 7d."""
    reader = Reader(chain, symbol, tell)
    return reader.story(reader.start(since))


class Reader:
    """One vault's past."""

    def __init__(self, chain: Chain, symbol: str, tell: Tell):
        self.chain = chain
        self.symbol = symbol
        self.token = chain.record.token(symbol)
        self.first: int = self.token["block"]
        self.last, self.now = chain.block()
        self.tell = tell

    def start(self, since: str) -> int:
        """The last block of the time before."""
        number, time = _moment(since, self.now)
        made = self.chain.block(self.first)[1]
        if time > self.now or number > self.last:
            when = clock(time) if time else f"block {number}"
            there = f"the chain is at block {self.last}, {clock(self.now)}"
            raise LeverageError(f"--since {since}: {when} is in the future; {there}")
        if time and time < made or not time and number < self.first:
            raise LeverageError(
                f"--since {since}: {self.symbol} was made later, in block {self.first}, {clock(made)}:"
                f" take --since {self.first}"
            )
        return self._block_at(time) if time else number

    def story(self, start: int) -> Story:
        """All that is known of the blocks after `start`."""
        events = self._events(start + 1, self.last)
        then, leverage = self._then(start)
        bookings = self._bookings(events)
        self._require_all(start, then, bookings)
        end = self._state(self.last)
        entries = [then, *bookings, *([end[0]] if end else [])]
        found = lives(self._with_endings(entries), leverage, self._target)
        rates, notes = self._rates(start, events)
        if then.block != start:
            why = "there was no price then, or the node has forgotten it"
            notes.append(f"{why}: this begins with the booking before, {clock(then.time)}")
        if end is None:
            notes.append(f"there is no price now: this goes to the last booking, {clock(entries[-1].time)}")
        return Story(
            self.symbol,
            self._target,
            self.chain.block(start)[1],
            self.now,
            [self._known(life) for life in found],
            charged(rates),
            (*_happened(events), *notes),
        )

    @property
    def _target(self) -> int:
        return int(self.token["target"])

    # The ledger

    def _events(self, first: int, last: int) -> list[Event]:
        contracts = [
            self.chain.vault(self.symbol),
            self.chain.contract("VaultTerms", self.token["terms"]),
        ]

        def tell(block: int) -> None:
            self.tell("reading the ledger", block - first + 1, last - first + 1)

        return list(self.chain.events(contracts, EVENTS, first, last, tell))

    def _bookings(self, events: Iterable[Event]) -> list[Entry]:
        """What the vault has booked, with the rebalances of the same transactions."""
        events = list(events)
        rebalances: dict[str, list[Rebalance]] = {}
        for event in events:
            if event.name == "Rebalanced":
                told = {key: value for key, value in event.fields.items() if key != "caller"}
                rebalance = Rebalance(**{**told, "trigger": Trigger(told["trigger"])})
                rebalances.setdefault(event.transaction, []).append(rebalance)
        bookings = []
        for event in events:
            if event.name == "Booked":
                lines = Attribution(**event.fields["attribution"])
                bookings.append(
                    Entry(
                        event.block,
                        event.time,
                        event.fields["price"],
                        event.fields["nav"],
                        lines,
                        tuple(rebalances.pop(event.transaction, ())),
                        lines == Attribution() and self._is_empty(event.block),
                    )
                )
        return bookings

    def _is_empty(self, block: int) -> bool:
        """Whether nobody held a share after a block; likely, where the lines are empty, too."""
        token = self.chain.at(block).contract("LeveragedToken", self.token["token"])
        return not told(token.call, "totalSupply")

    def _state(self, block: int) -> tuple[Entry, int] | None:
        """The ledger brought up to a block, and leverage; None where the node or the oracle does not tell."""
        vault = self.chain.at(block).vault(self.symbol)
        ledger, s = told(vault.call, "attribution"), told(vault.call, "snapshot")
        if ledger is None or s is None:
            return None
        lines, nav = ledger
        is_empty = s["supply"] == 0
        entry = Entry(block, s["timestamp"], s["price"], nav, Attribution(**lines), is_empty=is_empty)
        return entry, s["leverage"]

    def _then(self, start: int) -> tuple[Entry, int]:
        """The ledger at the beginning and leverage: as it was or, where nobody tells, as last booked."""
        if state := self._state(start):
            return state
        events: list[Event] = []
        bookings: list[Entry] = []
        last, blocks = start, LOG_BLOCKS
        while last >= self.first:
            first = max(self.first, last - blocks + 1)
            events = self._events(first, last) + events
            bookings = self._bookings(events)
            if any(entry.rebalances or entry.is_empty for entry in bookings):
                break
            last, blocks = first - 1, 2 * blocks
        nothing = Entry(start, self.chain.block(start)[1], 0, WAD, Attribution(), is_empty=True)
        return [nothing, *bookings][-1], _leverage(bookings, self._target)

    def _with_endings(self, entries: Sequence[Entry]) -> list[Entry]:
        """Before the last holder leaves, the ledger as it is then: the vault books it no more."""
        found: list[Entry] = []
        for entry in entries:
            if entry.is_empty and found and not found[-1].is_empty and entry.block - 1 > found[-1].block:
                state = self._state(entry.block - 1)
                if state and not state[0].is_empty:
                    found.append(state[0])
            found.append(entry)
        return found

    def _require_all(self, start: int, then: Entry, bookings: Sequence[Entry]) -> None:
        """Refuse logs in which bookings are missing: the vault knows its last one."""
        if bookings:
            booked = bookings[-1].nav, bookings[-1].price
        else:
            booked = self._mark(start) or (then.nav, then.price)
        marked = self._mark(self.last)
        if marked and booked != marked:
            raise LeverageError(
                f"the node's logs lack bookings of {self.symbol} after block {start}: the last one has nav"
                f" {booked[0] / WAD:g}, the vault's has {marked[0] / WAD:g}; ask a node that keeps all logs"
            )

    def _mark(self, block: int) -> tuple[int, int] | None:
        """Nav and price of the vault's last booking as of a block."""
        mark = told(self.chain.at(block).vault(self.symbol).call, "mark")
        return (mark["nav"], mark["price"]) if mark else None

    # What the model is told

    def _rates(self, start: int, events: Sequence[Event]) -> tuple[list[tuple[int, int]], list[str]]:
        """The management fee per day, WAD, and since when."""
        changes = [
            (e.time, e.fields["fees"]["management_per_day"]) for e in events if e.name == "FeesChanged"
        ]
        terms = self.chain.at(start).contract("VaultTerms", self.token["terms"])
        fees = told(terms.call, "fees")
        if fees is not None:
            return [(0, fees["management_per_day"]), *changes], []
        if not changes:
            now = self.chain.contract("VaultTerms", self.token["terms"]).call("fees")
            return [(0, now["management_per_day"])], []
        note = f"the management fee before {clock(changes[0][0])} is taken as the one after"
        return [(0, changes[0][1]), *changes], [note]

    def _known(self, life: Life) -> Life:
        """With the venue's rate at its moments, and its quotes before its rebalances, as far as known."""
        step = max(1, len(life.entries) // SAMPLES)
        rate: int | None = None
        entries = []
        for index, entry in enumerate(life.entries):
            self.tell("reading the venue", index + 1, len(life.entries))
            if index % step == 0 and (index == 0 or rate is not None):
                rate = told(venue_of(self.chain.at(entry.block), self.symbol).funding)
            rebalances = tuple(self._quoted(entry.block, rebalance) for rebalance in entry.rebalances)
            entries.append(replace(entry, funding=rate, rebalances=rebalances))
        return replace(life, entries=entries)

    def _quoted(self, block: int, rebalance: Rebalance) -> Rebalance:
        """With the venue's quote for its size just before it or, where the node has forgotten, now."""
        for chain, is_past in ((self.chain.at(block - 1), True), (self.chain, False)):
            adapter = chain.contract(self.token["adapterKind"], self.token["adapter"])
            price, size = rebalance.price, rebalance.size
            ask = ("quoteAt", size, price) if "queue" in self.token else ("quote", size)
            fill = told(adapter.call, *ask)
            notional = abs(lm.notional(fill["size"], price)) if fill else 0
            if fill and notional:
                slippage = lm.cost_of(fill["size"], fill["cash"], price) - fill["fee"]
                fee = fill["fee"] + (told(venue_of(chain, self.symbol).deposit) or 0)
                return replace(
                    rebalance,
                    quoted_fee=fee * WAD // notional,
                    quoted_slippage=slippage * WAD // notional if is_past else None,
                )
        return rebalance

    def _block_at(self, time: int) -> int:
        """The last block that is not later than `time`."""
        low, high = self.first, self.last
        while low < high:
            middle = (low + high + 1) // 2
            self.tell("finding the block", 1, 0)
            if self.chain.block(middle)[1] <= time:
                low = middle
            else:
                high = middle - 1
        return low


def _moment(since: str, now: int) -> tuple[int, int]:
    """A block's number or a time, the other being 0."""
    text = since.strip()
    try:
        if text.isdecimal() and int(text) < FIRST_SECONDS:
            return int(text), 0
        if text[-1:] in "smhdw" and text[:-1].isdecimal():
            return 0, max(1, now - parse_interval(text))
        return 0, max(1, parse_time(text))
    except DataError:
        raise LeverageError(
            f"--since {since}: write a date such as 2024-01-31 or 2024-01-31T12:00, the number of a block,"
            " or a time ago such as 7d or 12h"
        ) from None


def _leverage(bookings: Sequence[Entry], target: int) -> int:
    """At the last of them: after a rebalance, and where a fund begins, it is known, and then it drifts."""
    held = 0
    is_new = True
    for entry in bookings:
        if entry.is_empty:
            is_new = True
            continue
        if entry.rebalances:
            held = lm.div(entry.rebalances[-1].leverage_after * entry.nav, entry.price)
        elif is_new:
            held = lm.div(target * entry.nav, entry.price)
        is_new = False
    if not bookings or not bookings[-1].nav:
        return target
    return lm.div(held * bookings[-1].price, bookings[-1].nav)


def _happened(events: Sequence[Event]) -> list[str]:
    """What else happened."""
    names = [event.name for event in events]
    counted = [f"{what} {names.count(name)}" for name, what in COUNTED.items() if name in names]
    notes = [f"in between: {', '.join(counted)}"] if counted else []
    for event in events:
        if event.name == "Ruined":
            notes.append(
                f"ruined on {clock(event.time)}, with an equity of {event.fields['equity'] / WAD:,.2f}"
            )
    return notes
