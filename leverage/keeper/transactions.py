"""Transactions: fees under a cap, one nonce in flight, replacement, receipts, and what a reorg undoes.

A node is known by `rpc(method, *params)`, a key by `sign(fields)`. Nothing is kept but on the chain.

Why nothing is done twice, whoever was killed when: the nonce is read before the call is simulated. What an
earlier transaction did by then, the simulation sees; one that is mined later takes the nonce, and ours is
refused. All that are sent with one nonce are rivals, of which the chain takes one.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from eth_utils import keccak, to_checksum_address

from leverage.errors import LeverageError, RevertError, UnreachableError
from leverage.keeper.clock import Clock
from leverage.keeper.events import Confirmed, Listener, Mined, Sent, Trouble, Vanished
from leverage.rpc import number

GWEI = 10**9
ETHER = 10**18
YIELD_SECONDS = 12  # How long somebody else's transaction may stand in front of ours before it is mined.
MOST_GAS = 2**24  # What a transaction may use at most (EIP-7825).
# How nodes say that they have a transaction already, that its nonce is used, and that it offers too little.
KNOWN = re.compile("already (known|imported|exists)|known transaction|alreadyknown", re.I)
TAKEN = re.compile("nonce (is )?too low|old ?nonce", re.I)
CHEAP = re.compile("underpriced|less than block base fee|fee ?too ?low|replacement ?not ?allowed", re.I)

Rpc = Callable[..., Any]
Sign = Callable[[Mapping[str, Any]], bytes]


class UnaffordableError(LeverageError):
    """The network asks more for a unit of gas than may be paid; it passes."""


class StuckError(LeverageError):
    """A transaction is not mined within the time limit. It stays with the node; the next one replaces it."""


class LookAgainError(LeverageError):
    """A transaction that is just being mined, the account's own or another's, makes what was decided out of
    date."""


@dataclass(frozen=True)
class Limits:
    """Wei per unit of gas, None for no cap; seconds; blocks upon a transaction's until it counts as final."""

    max_fee: int | None = None
    stuck_seconds: float = 30
    receipt_seconds: float = 180
    confirmations: int = 0
    poll_seconds: float = 0.5


DEFAULT = Limits()


@dataclass(frozen=True)
class Call:
    """What is to be sent, and for which token; `to` is None for creation code."""

    to: str | None
    data: bytes
    value: int = 0
    token: str = ""


@dataclass(frozen=True)
class Fees:
    """Wei per unit of gas (EIP-1559): at most in all, and what of it goes to the block's builder."""

    most: int
    tip: int

    def raised(self) -> "Fees":
        """An eighth more, which every node takes for a replacement."""
        return Fees(self.most * 9 // 8 + 1, self.tip * 9 // 8 + 1)

    def at_least(self, other: "Fees") -> "Fees":
        """The higher of each."""
        return Fees(max(self.most, other.most), max(self.tip, other.tip))


@dataclass(frozen=True)
class Receipt:
    """A mined transaction. `cost` in wei is all that gas took, a rollup's fee for its data included."""

    transaction: str
    block: int
    block_hash: str
    gas_used: int
    cost: int
    is_reverted: bool
    contract_address: str | None
    logs: Sequence[Mapping[str, Any]]

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> "Receipt":
        """From a node's answer."""
        try:
            used, price = (
                number(raw["gasUsed"], "gas"),
                number(raw["effectiveGasPrice"], "a price"),
            )
            created = raw.get("contractAddress")
            return cls(
                transaction=raw["transactionHash"],
                block=number(raw["blockNumber"], "a block"),
                block_hash=raw["blockHash"],
                gas_used=used,
                cost=used * price + number(raw.get("l1Fee") or "0x0", "a fee"),
                is_reverted=number(raw["status"], "a status") != 1,
                contract_address=to_checksum_address(created) if created else None,
                logs=raw["logs"],
            )
        except (KeyError, TypeError, AttributeError):
            raise UnreachableError("the node sent a receipt that is none") from None


@dataclass(frozen=True)
class Flight:
    """What was sent with one nonce: rivals of rising fees, the last of them as `raw`."""

    call: Call
    nonce: int
    gas: int
    fees: Fees
    raw: bytes = b""
    hashes: tuple[str, ...] = ()


@dataclass
class Outbox:
    """Sends for one account on one chain, through `relay` where that is another node than the one asked.

    With `is_alone` the account is nobody else's: what waits with its next nonce is replaced.
    """

    account: str
    chain_id: int
    rpc: Rpc
    sign: Sign
    relay: Rpc | None = None
    limits: Limits = DEFAULT
    is_alone: bool = True
    clock: Clock = Clock()
    tell: Listener = lambda event: None
    block: str = "latest"
    # What this process has sent, by nonce, until it is final; and what of it is in a block.
    _flights: dict[int, Flight] = field(default_factory=dict)
    _receipts: dict[int, Receipt] = field(default_factory=dict)
    _yielding: dict[Call, float] = field(default_factory=dict)

    def send(self, call: Call, check: Callable[[int], None] = lambda cost: None) -> Receipt:
        """Have a call mined, whether it succeeds there or reverts. One that would revert now is not sent.

        `check` hears what it will cost at the present price, in wei, and may raise.
        """
        nonce = self._nonce()
        estimate = self._estimate(call)
        self._yield(call, nonce)
        base, fees = self._fees()
        check(estimate * (base + fees.tip))
        # The block that mines it has another time than the estimate: fees accrue, the venue settles funding.
        gas = max(estimate, min(estimate * 13 // 10, MOST_GAS))
        flight = Flight(call, nonce, gas, fees)
        if before := self._flights.get(nonce):
            hashes = before.hashes if before.call == call else ()
            flight = replace(flight, fees=self._over(before.fees, fees), hashes=hashes)
        self._require_payable(flight)
        receipt = self._deliver(self._signed(flight))
        told = receipt.transaction, receipt.block, receipt.gas_used, receipt.cost, receipt.is_reverted
        self.tell(Mined(call.token, *told))
        return receipt

    def confirm(self, seconds: float = 0) -> set[str]:
        """Look after what was mined, waiting at most so long for blocks; tokens whose transaction is gone."""
        until, vanished = self.clock.now() + seconds, set[str]()
        while self._receipts:
            for nonce in list(self._receipts):
                vanished |= self._review(nonce)
            if not self._receipts or self.clock.now() >= until:
                break
            self.clock.sleep(self.limits.poll_seconds)
        return vanished

    def require_funds(self, gas: int) -> None:
        """Refuse an account that cannot pay for so much gas at the present price."""
        needed, held = gas * self.base_fee(), self.balance()
        if held <= needed:
            raise LeverageError(
                f"{self.account} has {ether(held)} ether for gas, and needs {ether(needed)}: send it some"
            )

    def balance(self) -> int:
        """Wei that the account has."""
        return number(self.rpc("eth_getBalance", self.account, "latest"), "a balance")

    def base_fee(self) -> int:
        """Wei per unit of gas that the latest block asked for."""
        block = self.rpc("eth_getBlockByNumber", "latest", False)
        if not isinstance(block, dict) or "baseFeePerGas" not in block:
            raise LeverageError("the chain has no base fee: only chains with EIP-1559 are served")
        return number(block["baseFeePerGas"], "a base fee")

    # Before sending

    def _nonce(self) -> int:
        mined, waiting = self._count("latest"), self._count("pending")
        self._flights = {n: f for n, f in self._flights.items() if n >= mined or n in self._receipts}
        if not self.is_alone:
            return waiting
        if waiting > mined and mined not in self._flights:
            # A process before this one has sent something: most likely what is due.
            until = self.clock.now() + self.limits.stuck_seconds
            while self.clock.now() < until:
                self.clock.sleep(self.limits.poll_seconds)
                if self._count("latest") > mined:
                    raise LookAgainError(f"{self.account}'s earlier transaction has just been mined")
        return mined

    def _count(self, block: str) -> int:
        return number(self.rpc("eth_getTransactionCount", self.account, block), "a nonce")

    def _estimate(self, call: Call) -> int:
        return number(self.rpc("eth_estimateGas", self._request(call), self.block), "gas")

    def _request(self, call: Call) -> dict[str, str]:
        request = {"from": self.account, "data": "0x" + call.data.hex(), "value": hex(call.value)}
        return request | ({"to": call.to} if call.to else {})

    def _yield(self, call: Call, nonce: int) -> None:
        """Let somebody's transaction go first that waits to do the same: ours would only pay for its revert.

        Not for long, since nobody knows whether it will ever be mined.
        """
        if not self.is_alone or self.block == "pending" or self._count("pending") > nonce:
            return
        try:
            self.rpc("eth_call", self._request(call), "pending")
        except UnreachableError:
            raise
        except RevertError:
            now = self.clock.now()
            if now - self._yielding.setdefault(call, now) < YIELD_SECONDS:
                raise LookAgainError(
                    "somebody's transaction does it already, and waits to be mined"
                ) from None
        except LeverageError:
            pass  # A node that does not tell what waits.
        self._yielding.pop(call, None)

    def _fees(self) -> tuple[int, Fees]:
        """The base fee, and what to offer: room for it to double, as far as the cap goes."""
        base, cap = self.base_fee(), self.limits.max_fee
        if cap is not None and base > cap:
            raise UnaffordableError(
                f"a unit of gas costs {gwei(base)} gwei, more than the {gwei(cap)} of --max-fee: it waits"
            )
        try:
            tip = number(self.rpc("eth_maxPriorityFeePerGas"), "a tip")
        except UnreachableError:
            raise
        except LeverageError:
            tip = max(0, number(self.rpc("eth_gasPrice"), "a price") - base)
        most = 2 * base + tip if cap is None else min(2 * base + tip, cap)
        return base, Fees(most, min(tip, most - base))

    def _over(self, before: Fees, wanted: Fees) -> Fees:
        """Fees that replace `before`, at best those wanted; as before where the cap leaves no room."""
        fees, cap = wanted.at_least(before.raised()), self.limits.max_fee
        return fees if cap is None or fees.most <= cap else before

    def _require_payable(self, flight: Flight) -> None:
        most, held = flight.gas * flight.fees.most + flight.call.value, self.balance()
        if held < most:
            raise LeverageError(
                f"{self.account} has {ether(held)} ether, and this may cost {ether(most)}: send it some"
            )

    def _signed(self, flight: Flight) -> Flight:
        raw = self.sign(
            {
                "chainId": self.chain_id,
                "nonce": flight.nonce,
                "to": flight.call.to,
                "data": flight.call.data,
                "value": flight.call.value,
                "gas": flight.gas,
                "maxFeePerGas": flight.fees.most,
                "maxPriorityFeePerGas": flight.fees.tip,
            }
        )
        return replace(flight, raw=raw, hashes=(*flight.hashes, "0x" + keccak(raw).hex()))

    # Under way

    def _deliver(self, flight: Flight) -> Receipt:
        """Hand it over until it is mined, for more and more where it is not."""
        deadline, is_told = self.clock.now() + self.limits.receipt_seconds, False
        self._announce(flight)
        while True:
            is_in_line = self._hand_over(flight)
            pause = self.limits.stuck_seconds if is_in_line else self.limits.poll_seconds
            if receipt := self._await(flight, min(self.clock.now() + pause, deadline)):
                if self.limits.confirmations:
                    self._receipts[flight.nonce] = receipt
                return receipt
            if self._is_used(flight.nonce):
                raise LookAgainError(f"nonce {flight.nonce} of {self.account} went to another transaction")
            if self.clock.now() >= deadline:
                raise StuckError(
                    f"{flight.hashes[-1]} has no receipt after {self.limits.receipt_seconds:g} s"
                    f" for {gwei(flight.fees.most)} gwei a unit of gas: it stays in line"
                )
            rival = self._raised(flight)
            if rival is not flight:
                self._announce(rival)
            elif not is_told:
                is_told = True
                self.tell(Trouble("fee", f"{flight.hashes[-1]} waits: --max-fee lets it offer no more"))
            flight = rival

    def _announce(self, flight: Flight) -> None:
        """Tell what goes out. Until the chain has it, only `_flights` knows."""
        fees = flight.fees
        self._flights[flight.nonce] = flight
        told = flight.hashes[-1], flight.nonce, flight.gas, fees.most, fees.tip, len(flight.hashes)
        self.tell(Sent(flight.call.token, *told))

    def _hand_over(self, flight: Flight) -> bool:
        """Give it to the network; False where it is not in line: too cheap, or its nonce is used."""
        try:
            (self.relay or self.rpc)("eth_sendRawTransaction", "0x" + flight.raw.hex())
        except UnreachableError as error:
            # It may have arrived all the same: its hash is known, and the chain tells.
            self.tell(Trouble("relay", str(error)))
        except LeverageError as error:
            if CHEAP.search(str(error)) or TAKEN.search(str(error)):
                return False
            if not KNOWN.search(str(error)):
                if len(flight.hashes) == 1:
                    del self._flights[flight.nonce]
                raise
        return True

    def _await(self, flight: Flight, until: float) -> Receipt | None:
        pause = 0.005
        while True:
            if receipt := self._found(flight):
                return receipt
            left = until - self.clock.now()
            if left <= 0:
                return None
            self.clock.sleep(min(pause, left))
            pause = min(2 * pause, self.limits.poll_seconds)

    def _found(self, flight: Flight) -> Receipt | None:
        """The receipt of whichever rival was mined. Nodes that fail meanwhile are asked again later."""
        try:
            answers = (self.rpc("eth_getTransactionReceipt", h) for h in reversed(flight.hashes))
            return next((Receipt.of(raw) for raw in answers if raw and raw.get("blockHash")), None)
        except (LeverageError, AttributeError):
            return None

    def _is_used(self, nonce: int) -> bool:
        try:
            return self._count("latest") > nonce
        except LeverageError:
            return False

    def _raised(self, flight: Flight) -> Flight:
        """A rival that offers more; the same where the cap, or a node that fails, leaves no room."""
        try:
            fees = self._over(flight.fees, self._fees()[1])
        except LeverageError:
            return flight
        return flight if fees == flight.fees else self._signed(replace(flight, fees=fees))

    def _review(self, nonce: int) -> set[str]:
        """One look at what was mined: final, still young, in another block, or gone."""
        flight, receipt = self._flights[nonce], self._receipts[nonce]
        try:
            head = number(self.rpc("eth_blockNumber"), "a block")
            block = self.rpc("eth_getBlockByNumber", hex(receipt.block), False)
        except LeverageError:
            return set()
        if isinstance(block, dict) and block.get("hash") == receipt.block_hash:
            if head >= receipt.block + self.limits.confirmations:
                del self._flights[nonce], self._receipts[nonce]
                self.tell(Confirmed(flight.call.token, receipt.transaction, receipt.block))
            return set()
        if again := self._found(flight):
            self._receipts[nonce] = again
            return set()
        # The node may have it still, and mine it later: what is sent next has the same nonce.
        del self._receipts[nonce]
        self.tell(Vanished(flight.call.token, receipt.transaction, receipt.block))
        return {flight.call.token}


def gwei(wei: int) -> str:
    """Wei per unit of gas for a reader."""
    return f"{wei / GWEI:.4g}"


def ether(wei: int) -> str:
    """Wei for a reader."""
    return f"{wei / ETHER:.6g}"
