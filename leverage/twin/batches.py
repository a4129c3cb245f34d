"""Twin of Batches.sol: requests that collect in batches and end together; one side of a queue.

`amount` is what was requested, assets or shares; `result` what came of it, shares or assets. At most two
batches have not ended: the head, which is next to be committed or in flight, and the tail, which collects. So
a controller's requests fit in two places, by the parity of their batch, and what is older has ended.
"""

from dataclasses import dataclass, replace
from enum import Enum

from leverage import leverage_math as lm
from leverage.twin.ground import Chain, Contract, fitting, require
from leverage.types import WAD

# What a batch can hold, and what as its room means that there is no limit.
MOST = 2**104 - 1
NOBODY = "0x" + "00" * 20


class End(Enum):
    """PARTLY: settled in part, because the venue filled no more; the rest is returned."""

    NONE = 0
    SETTLED = 1
    PARTLY = 2
    REFUNDED = 3


class Part(Enum):
    """Of a request in a batch that was filled in part: all of it, what was filled, or what is returned."""

    WHOLE = 0
    FILLED = 1
    RETURNED = 2


@dataclass(frozen=True)
class Batch:
    """What is left of it to end or, once it has ended, to claim; `opened_at` its first request, seconds."""

    amount: int = 0
    result: int = 0
    opened_at: int = 0
    has_failed: bool = False
    end: End = End.NONE


@dataclass(frozen=True)
class Request:
    """One controller's part of a batch; `is_refunded`: whether it leaves the batch when an order fails."""

    amount: int = 0
    batch: int = 0
    is_refunded: bool = False
    part: Part = Part.WHOLE


@dataclass(frozen=True)
class Claim:
    """Settled requests whose place was needed for a new one, and what is left of claims in part."""

    amount: int = 0
    result: int = 0


class Side(Contract):
    """`room` is what the tail may hold, as far as it is known; `least` the smallest request."""

    def __init__(self, chain: Chain, address: str, room: int):
        super().__init__(chain, address)
        self.head = self.tail = 1
        self.is_in_flight = False
        self.batches: dict[int, Batch] = {}
        # What leaves a batch when an order fails; of one that was filled in part, what is left to be
        # returned.
        self.refundable: dict[int, int] = {}
        # WAD fraction of a batch that is returned because the venue did not fill it.
        self.unfilled: dict[int, int] = {}
        self.requests: dict[tuple[str, int], Request] = {}
        self.claims: dict[str, Claim] = {}
        # Refunds whose place was needed for a new request.
        self.returned: dict[str, int] = {}
        self.limit(room, 1)

    def limit(self, room: int, least: int) -> None:
        """How much the tail may hold from now on, and the smallest request."""
        self.room = min(room, MOST)
        self.least = min(least, 2**80 - 1)

    # Requests

    def takes(self, amount: int) -> bool:
        """Whether the tail takes `amount` by what is known."""
        return amount >= self.least and amount <= self.room - self._batch(self.tail).amount

    def join(self, controller: str, amount: int, is_refunded: bool, may_choose: bool) -> int:
        """Add to the controller's request in the batch that collects: its id. The latest choice holds for all
        of it, if the controller made it; nobody chooses for somebody else who has chosen."""
        require(controller != NOBODY, "ZeroController")
        number = self.tail
        r = self._request(controller, number)
        before = 0
        if r.batch == number:
            before = r.amount
            if not may_choose:
                is_refunded = r.is_refunded
        elif r.amount > 0:
            self._keep(controller, r)
        b = self._batch(number)
        opened_at = b.opened_at if b.amount else self.chain.now
        self.batches[number] = replace(b, amount=fitting(b.amount + amount, 0, MOST), opened_at=opened_at)
        if before > 0 and r.is_refunded:
            self._add_refundable(number, -before)
        if is_refunded:
            self._add_refundable(number, before + amount)
        self._place(controller, Request(before + amount, number, is_refunded))
        return number

    def cancel(self, controller: str, number: int) -> int:
        """Take a request out that is not in flight, or the refund of one that failed; older refunds under the
        id 0. Returns its amount."""
        r = self._request(controller, number)
        if number == 0:
            amount = self.returned.pop(controller, 0)
            require(amount > 0, "NoRequest", number, controller)
            return amount
        require(r.batch == number and r.amount > 0, "NoRequest", number, controller)
        b = self._batch(number)
        if _is_refunded(b, r):
            amount = self._draw_refund(b, r)
        elif b.end == End.PARTLY and r.part == Part.WHOLE:
            amount = self._take_unfilled(b, r)
            self._place(controller, replace(r, amount=r.amount - amount, part=Part.FILLED))
            return amount
        else:
            require(not (self.is_in_flight and number == self.head), "RequestInFlight", number)
            require(b.end == End.NONE, "RequestSettled", number)
            amount = r.amount
            self.batches[number] = replace(b, amount=b.amount - amount)
            if r.is_refunded:
                self._add_refundable(number, -amount)
        self._clear(controller, number)
        return amount

    def take(self, controller: str, amount: int, is_last_held: bool) -> int:
        """Claim `amount` of what was requested; returns the result that belongs to it."""
        c = self._gather(controller, is_last_held)
        require(amount <= c.amount, "ExceedsClaimable", amount, c.amount)
        result = amount * c.result // c.amount
        self.claims[controller] = Claim(c.amount - amount, c.result - result)
        return result

    def take_result(self, controller: str, result: int, is_last_held: bool) -> int:
        """Claim `result`; returns the amount of the request that this uses up."""
        c = self._gather(controller, is_last_held)
        require(result <= c.result, "ExceedsClaimable", result, c.result)
        amount = lm.ceil_div(result * c.amount, c.result)
        self.claims[controller] = Claim(c.amount - amount, c.result - result)
        return amount

    # Batches

    def commit(self) -> None:
        """The head goes to the venue; from now on requests join the next batch."""
        # A batch that was carried on until everybody had left it is passed over.
        if self._batch(self.head).amount == 0:
            self.head = self.tail
        if self.room < MOST:
            self.room = max(0, self.room - self._batch(self.head).amount)
        self.is_in_flight = True
        self.tail = self.head + 1

    def settle(self, result: int, unfilled: int) -> None:
        """The batch in flight ends with `result` for all of it but the WAD fraction `unfilled`."""
        if unfilled == 0:
            return self._end(End.SETTLED, result)
        b = self._batch(self.head)
        part = filled(b.amount, unfilled)
        self.unfilled[self.head] = unfilled
        self.refundable[self.head] = b.amount - part
        self.batches[self.head] = replace(b, amount=part)
        self._end(End.PARTLY, result)

    def refund(self, result: int) -> None:
        """The batch in flight ends and returns `result` of what was requested."""
        self._end(End.REFUNDED, result)

    def write_off(self, lost: int) -> int:
        """What was promised to the batch that ended last and will never come: at most its result. How
        much."""
        b = self._batch(self.head - 1)
        lost = min(lost, b.result)
        self.batches[self.head - 1] = replace(b, result=b.result - lost)
        return lost

    def carry(self, patience: int) -> None:
        """The order failed: who chose a refund leaves the batch, the others are carried on; all of it is
        refunded when it has been open for longer than `patience` seconds."""
        b = self._batch(self.head)
        if self.chain.now > b.opened_at + patience:
            return self.refund(b.amount)
        self.is_in_flight = False
        left = b.amount - self.refundable.pop(self.head, 0)
        self.batches[self.head] = replace(b, amount=left, has_failed=True)

    # Views

    def next(self) -> tuple[int, int]:
        """What the next commit would take, and since when it waits; nothing while a batch is in flight."""
        if self.is_in_flight:
            return 0, 0
        b = self._batch(self.head)
        if b.amount == 0 and self.head != self.tail:
            b = self._batch(self.tail)
        return (b.amount, b.opened_at) if b.amount else (0, 0)

    def in_flight(self) -> int:
        """What is in flight."""
        return self._batch(self.head).amount if self.is_in_flight else 0

    def closed(self) -> int:
        """What has not ended but collects no more: in flight or carried on."""
        return 0 if self.head == self.tail else self._batch(self.head).amount

    def waiting(self) -> int:
        """What the tail has collected."""
        return self._batch(self.tail).amount

    def pending(self, number: int, controller: str, is_last_held: bool) -> int:
        """The part of a request that has not ended."""
        r, b = self._request(controller, number), self._batch(number)
        if r.batch != number or self._is_ended(b, number, is_last_held) or _is_refunded(b, r):
            return 0
        return r.amount - self._unfilled_of(b, r)

    def claimable_of(self, number: int, controller: str, is_last_held: bool) -> int:
        """What a controller can claim of a batch, or of everything when its id is 0."""
        if number == 0:
            return self.claimable(controller, is_last_held).amount
        r, b = self._request(controller, number), self._batch(number)
        is_claimable = r.batch == number and self._is_claimable(b, r, is_last_held)
        return r.amount - self._unfilled_of(b, r) if is_claimable else 0

    def refundable_of(self, number: int, controller: str) -> int:
        """What a controller can take back of a batch because an order failed or was filled in part; of
        batches whose place was needed when the id is 0."""
        if number == 0:
            return self.returned.get(controller, 0)
        r = self._request(controller, number)
        if r.batch != number or r.amount == 0:
            return 0
        b = self._batch(number)
        if not _is_refunded(b, r):
            return self._unfilled_of(b, r)
        return r.amount if _is_whole(b, r) else _result_of(b, r.amount)

    def claimable(self, controller: str, is_last_held: bool) -> Claim:
        """Everything that a controller can claim. With `is_last_held` the batch that ended last is not paid
        for yet."""
        c = self._claim(controller)
        for place in (0, 1):
            r = self._request(controller, place)
            b = self._batch(r.batch)
            if self._is_claimable(b, r, is_last_held):
                amount = r.amount - self._unfilled_of(b, r)
                c = Claim(c.amount + amount, c.result + _result_of(b, amount))
        return c

    # Internals

    def _end(self, end: End, result: int) -> None:
        self.batches[self.head] = replace(self._batch(self.head), result=fitting(result, 0, MOST), end=end)
        self.head += 1
        self.is_in_flight = False

    def _gather(self, controller: str, is_last_held: bool) -> Claim:
        """Everything that a controller can claim, taken out of its batches."""
        c = self._claim(controller)
        for place in (0, 1):
            r = self._request(controller, place)
            b = self._batch(r.batch)
            if not self._is_claimable(b, r, is_last_held):
                continue
            back = self._take_unfilled(b, r)
            amount = r.amount - back
            c = Claim(c.amount + amount, c.result + self._draw(r.batch, amount))
            if back == 0:
                self._clear(controller, place)
            else:
                self._place(controller, replace(r, amount=back, part=Part.RETURNED))
        return c

    def _keep(self, controller: str, r: Request) -> None:
        """Make room for a new request: what an old one has earned, or gets back, joins the sum."""
        b = self._batch(r.batch)
        if _is_refunded(b, r):
            self._add_returned(controller, self._draw_refund(b, r))
            return
        back = self._take_unfilled(b, r)
        self._add_returned(controller, back)
        c, amount = self._claim(controller), r.amount - back
        self.claims[controller] = Claim(c.amount + amount, c.result + self._draw(r.batch, amount))

    def _draw(self, number: int, amount: int) -> int:
        """Take a request's part out of its batch: what rounds down stays for the others, and the last gets
        all that is left."""
        b = self._batch(number)
        result = _result_of(b, amount)
        self.batches[number] = replace(b, amount=b.amount - amount, result=b.result - result)
        return result

    def _draw_refund(self, b: Batch, r: Request) -> int:
        return r.amount if _is_whole(b, r) else self._draw(r.batch, r.amount)

    def _unfilled_of(self, b: Batch, r: Request) -> int:
        """What of a request is returned because it was not filled: rounded up, until all that is returned is
        gone."""
        if b.end != End.PARTLY or r.part != Part.WHOLE:
            return 0
        return min(lm.ceil_div(r.amount * self.unfilled[r.batch], WAD), self.refundable[r.batch])

    def _take_unfilled(self, b: Batch, r: Request) -> int:
        back = self._unfilled_of(b, r)
        if back > 0:
            self._add_refundable(r.batch, -back)
        return back

    def _is_claimable(self, b: Batch, r: Request, is_last_held: bool) -> bool:
        return r.amount > 0 and self._is_ended(b, r.batch, is_last_held) and not _is_refunded(b, r)

    def _is_ended(self, b: Batch, number: int, is_last_held: bool) -> bool:
        return b.end != End.NONE and (not is_last_held or number + 1 < self.head)

    # Storage: what was never written is zero.

    def _batch(self, number: int) -> Batch:
        return self.batches.get(number, Batch())

    def _request(self, controller: str, number: int) -> Request:
        return self.requests.get((controller, number & 1), Request())

    def _claim(self, controller: str) -> Claim:
        return self.claims.get(controller, Claim())

    def _place(self, controller: str, r: Request) -> None:
        self.requests[controller, r.batch & 1] = r

    def _clear(self, controller: str, number: int) -> None:
        self.requests.pop((controller, number & 1), None)

    def _add_refundable(self, number: int, amount: int) -> None:
        self.refundable[number] = self.refundable.get(number, 0) + amount

    def _add_returned(self, controller: str, amount: int) -> None:
        self.returned[controller] = self.returned.get(controller, 0) + amount


def filled(amount: int, unfilled: int) -> int:
    """What is settled of `amount` when the WAD fraction `unfilled` is not."""
    return amount - amount * unfilled // WAD


def _result_of(b: Batch, amount: int) -> int:
    return b.result if amount == b.amount else amount * b.result // b.amount


def _is_refunded(b: Batch, r: Request) -> bool:
    return b.end == End.REFUNDED or _is_whole(b, r)


def _is_whole(b: Batch, r: Request) -> bool:
    """Refunds that are none of their batch's any more: they get all that was asked."""
    return r.part == Part.RETURNED or (b.has_failed and r.is_refunded and r.part == Part.WHOLE)
