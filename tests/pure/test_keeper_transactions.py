"""Transactions without a node: fees, nonces, replacement, receipts, reorgs, and nothing done twice."""

import json
from dataclasses import dataclass, field

import pytest
from eth_utils import keccak

from leverage.errors import LeverageError, RevertError, UnreachableError
from leverage.keeper import events
from leverage.keeper.clock import Clock
from leverage.keeper.transactions import (
    ETHER,
    GWEI,
    MOST_GAS,
    YIELD_SECONDS,
    Call,
    Limits,
    LookAgainError,
    Outbox,
    Receipt,
    StuckError,
    UnaffordableError,
)

ME = "0x" + "11" * 20
VAULT = Call("0x" + "22" * 20, b"rebalance", token="ETH3L")
OTHER = Call("0x" + "33" * 20, b"rebalance", token="ETH3S")


def sign(fields) -> bytes:
    shown = {key: value.hex() if isinstance(value, bytes) else value for key, value in fields.items()}
    return json.dumps(shown).encode()


@dataclass
class Node:
    """A chain with a block each `block_seconds`, and a mempool that takes a rival for a tenth more."""

    base_fee: int = 10 * GWEI
    suggested: int | None = GWEI
    balance: int = ETHER
    gas: int = 1_000_000
    block_seconds: float = 2
    now: float = 0
    blocks: list[dict] = field(default_factory=lambda: [{"hash": "0xb0", "transactions": []}])
    pool: dict[int, dict] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    # Before a request is answered; may raise in its place.
    before: object = lambda method, params: None  # noqa: E731
    is_reverting: bool = False

    def __call__(self, method, *params):
        self.asked.append(method)
        self.before(method, params)
        return getattr(self, method)(*params)

    # Time

    def sleep(self, seconds: float) -> None:
        until = self.now + seconds
        while (self.now // self.block_seconds + 1) * self.block_seconds <= until:
            self.now = (self.now // self.block_seconds + 1) * self.block_seconds
            self.mine()
        self.now = until

    def mine(self) -> None:
        block = {"hash": f"0xb{len(self.blocks)}{len(self.asked)}", "transactions": []}
        self.blocks.append(block)
        while (wanted := self.pool.get(self.mined)) and wanted["maxFeePerGas"] >= self.base_fee:
            block["transactions"].append(self.pool.pop(self.mined))

    def reorg(self, depth: int, is_returned: bool = False) -> None:
        """Other blocks in the place of the last ones; their transactions wait again, or are forgotten."""
        gone = [tx for block in self.blocks[-depth:] for tx in block["transactions"]]
        del self.blocks[-depth:]
        for number in range(depth):
            self.blocks.append({"hash": f"0xf{number}{len(self.asked)}", "transactions": []})
        if is_returned:
            self.pool |= {tx["nonce"]: tx for tx in gone}

    @property
    def chain(self) -> list[dict]:
        """Transactions in blocks, in order."""
        return [tx for block in self.blocks for tx in block["transactions"]]

    @property
    def mined(self) -> int:
        return len(self.chain)

    # JSON-RPC

    def eth_getTransactionCount(self, account, block):  # noqa: N802
        waiting = next(n for n in range(self.mined, self.mined + 99) if n not in self.pool)
        return hex(waiting if block == "pending" else self.mined)

    def eth_estimateGas(self, request, block):  # noqa: N802
        return hex(self.gas)

    def eth_call(self, request, block):  # noqa: N802
        return "0x"

    def eth_getBlockByNumber(self, which, full):  # noqa: N802
        number = len(self.blocks) - 1 if which == "latest" else int(which, 16)
        if number >= len(self.blocks):
            return None
        return {
            "number": hex(number),
            "hash": self.blocks[number]["hash"],
            "baseFeePerGas": hex(self.base_fee),
        }

    def eth_blockNumber(self):  # noqa: N802
        return hex(len(self.blocks) - 1)

    def eth_maxPriorityFeePerGas(self):  # noqa: N802
        if self.suggested is None:
            raise LeverageError("the node refused eth_maxPriorityFeePerGas: method not found")
        return hex(self.suggested)

    def eth_gasPrice(self):  # noqa: N802
        return hex(self.base_fee + 3 * GWEI)

    def eth_getBalance(self, account, block):  # noqa: N802
        return hex(self.balance)

    def eth_sendRawTransaction(self, raw):  # noqa: N802
        data = bytes.fromhex(raw[2:])
        tx = {**json.loads(data), "hash": "0x" + keccak(data).hex()}
        if tx["nonce"] < self.mined:
            raise LeverageError("the node refused eth_sendRawTransaction: nonce too low")
        rival = self.pool.get(tx["nonce"])
        if rival and rival["hash"] == tx["hash"]:
            raise LeverageError("the node refused eth_sendRawTransaction: already known")
        for fee in ("maxFeePerGas", "maxPriorityFeePerGas"):
            if rival and tx[fee] * 10 < rival[fee] * 11:
                raise LeverageError(
                    "the node refused eth_sendRawTransaction: replacement transaction underpriced"
                )
        self.pool[tx["nonce"]] = tx
        return tx["hash"]

    def eth_getTransactionReceipt(self, transaction):  # noqa: N802
        for number, block in enumerate(self.blocks):
            for tx in block["transactions"]:
                if tx["hash"] == transaction:
                    return {
                        "transactionHash": transaction,
                        "blockNumber": hex(number),
                        "blockHash": block["hash"],
                        "gasUsed": hex(self.gas),
                        "effectiveGasPrice": hex(self.base_fee + GWEI),
                        "status": "0x0" if self.is_reverting else "0x1",
                        "contractAddress": None,
                        "logs": [],
                    }
        return None


@pytest.fixture
def node():
    return Node()


@pytest.fixture
def told():
    return []


@pytest.fixture
def outbox(node, told):
    """With a cap of 100 gwei; what waits for 10 s is stuck, after 60 s it is given up."""

    def make(**changes) -> Outbox:
        limits = Limits(
            max_fee=100 * GWEI, stuck_seconds=10, receipt_seconds=60, poll_seconds=1, confirmations=3
        )
        options = {"limits": limits, "clock": Clock(lambda: node.now, node.sleep), "tell": told.append}
        return Outbox(ME, 10, node, sign, **{**options, **changes})

    return make


def kinds(told):
    return [type(event).__name__ for event in told]


# One transaction


def test_send__calm__is_mined_once_with_room_for_the_base_fee_to_double(node, outbox, told):
    receipt = outbox().send(VAULT)

    (tx,) = node.chain
    assert (tx["nonce"], tx["chainId"], tx["to"], tx["data"]) == (0, 10, VAULT.to, VAULT.data.hex())
    assert (tx["maxFeePerGas"], tx["maxPriorityFeePerGas"]) == (21 * GWEI, GWEI)
    assert tx["gas"] == 1_300_000
    assert receipt.transaction == tx["hash"] and not receipt.is_reverted
    assert receipt.cost == 1_000_000 * 11 * GWEI
    assert kinds(told) == ["Sent", "Mined"]


def test_send__estimate_near_the_most__is_not_beyond_it(node, outbox):
    node.gas, node.balance = MOST_GAS - 1_000, 100 * ETHER

    outbox().send(VAULT)

    assert node.chain[0]["gas"] == MOST_GAS


def test_send__would_revert__sends_nothing(node, outbox):
    def refuse(method, params):
        if method == "eth_estimateGas":
            raise RevertError("NothingDue", "NothingDue")

    node.before = refuse

    with pytest.raises(RevertError, match="NothingDue"):
        outbox().send(VAULT)
    assert "eth_sendRawTransaction" not in node.asked


def test_send__not_worth_it__sends_nothing(node, outbox):
    def check(cost):
        assert cost == 1_000_000 * 11 * GWEI
        raise LeverageError("too much")

    with pytest.raises(LeverageError, match="too much"):
        outbox().send(VAULT, check)
    assert "eth_sendRawTransaction" not in node.asked


def test_send__too_little_ether__says_how_much_and_sends_nothing(node, outbox):
    node.balance = ETHER // 100

    with pytest.raises(LeverageError, match=f"{ME} has 0.01 ether, and this may cost 0.0273: send it some"):
        outbox().send(VAULT)
    assert "eth_sendRawTransaction" not in node.asked


def test_send__mined_and_reverted__is_told_with_its_cost(node, outbox, told):
    node.is_reverting = True

    assert outbox().send(VAULT).is_reverted
    assert told[-1] == events.Mined("ETH3L", node.chain[0]["hash"], 1, node.gas, node.gas * 11 * GWEI, True)


def test_send__node_without_suggestions__takes_the_tip_from_its_gas_price(node, outbox):
    node.suggested = None

    outbox().send(VAULT)

    assert node.chain[0]["maxPriorityFeePerGas"] == 3 * GWEI


def test_send__no_base_fee__is_refused(node, outbox):
    node.eth_getBlockByNumber = lambda *_: {"number": "0x1", "hash": "0x1"}

    with pytest.raises(LeverageError, match="only chains with EIP-1559"):
        outbox().send(VAULT)


@pytest.mark.parametrize("answer", [None, "0x", "five", {"x": 1}, 7])
def test_send__nonsense_for_a_nonce__sends_nothing(node, outbox, answer):
    node.eth_getTransactionCount = lambda *_: answer

    with pytest.raises(UnreachableError, match="a nonce that is no number"):
        outbox().send(VAULT)
    assert "eth_sendRawTransaction" not in node.asked


def test_send__relay__gets_the_transaction_and_nobody_else(node, outbox):
    seen = []

    def relay(method, *params):
        seen.append(method)
        return Node.__call__(node, method, *params)

    asked = []
    node.before = lambda method, params: asked.append(method)
    reader = lambda method, *params: node(method, *params)  # noqa: E731
    box = outbox(relay=relay)
    box.rpc = reader
    box.send(VAULT)

    assert seen == ["eth_sendRawTransaction"]


# Fees


@pytest.mark.parametrize(("base", "offered"), [(10, 21), (49.5, 100), (99.5, 100)])
def test_fees__base_fee_rises__are_cut_at_the_cap(node, outbox, base, offered):
    node.base_fee, node.balance = int(base * GWEI), 10 * ETHER

    outbox().send(VAULT)

    tx = node.chain[0]
    assert tx["maxFeePerGas"] == offered * GWEI
    assert tx["maxPriorityFeePerGas"] == min(GWEI, tx["maxFeePerGas"] - node.base_fee)


def test_fees__base_fee_twenty_times_as_high__waits_and_says_so(node, outbox):
    node.base_fee *= 20

    with pytest.raises(UnaffordableError, match="costs 200 gwei, more than the 100 of --max-fee: it waits"):
        outbox().send(VAULT)
    assert "eth_sendRawTransaction" not in node.asked
    node.base_fee //= 20
    outbox().send(VAULT)
    assert node.mined == 1


def test_fees__no_cap__are_paid(node, outbox):
    node.base_fee, node.balance = 2_000 * GWEI, 100 * ETHER

    outbox(limits=Limits()).send(VAULT)

    assert node.chain[0]["maxFeePerGas"] == 4_001 * GWEI


# Stuck


def test_stuck__base_fee_rose_after_it_was_sent__is_replaced_for_enough(node, outbox, told):
    box = outbox()
    raised = iter([30 * GWEI])

    def rise(method, params):
        if method == "eth_getTransactionReceipt":
            node.base_fee = next(raised, node.base_fee)

    node.before = rise
    receipt = box.send(VAULT)

    assert node.mined == 1 and receipt.transaction == node.chain[0]["hash"]
    first, second = [event for event in told if isinstance(event, events.Sent)]
    assert (first.nonce, second.nonce, second.attempt) == (0, 0, 2)
    assert second.max_fee == 61 * GWEI and second.tip * 10 >= first.tip * 11
    assert node.now < 25


def test_stuck__each_replacement__is_an_eighth_higher_until_the_cap(node, outbox, told):
    """Nobody mines it, though the base fee stands still: as with a node that keeps it to itself."""
    node.mine = lambda: node.blocks.append({"hash": "0xe", "transactions": []})

    with pytest.raises(StuckError, match=r"0x\w+ has no receipt after 60 s for .* it stays in line"):
        outbox().send(VAULT)

    offers = [event.max_fee for event in told if isinstance(event, events.Sent)]
    assert len(offers) == 6
    assert all(8 * later >= 9 * earlier for earlier, later in zip(offers, offers[1:], strict=False))
    assert max(offers) <= 100 * GWEI


def test_stuck__at_the_cap__waits_on_and_says_so_once(node, outbox, told):
    box = outbox(limits=Limits(max_fee=21 * GWEI, stuck_seconds=10, receipt_seconds=60, poll_seconds=1))
    raised = iter([30 * GWEI])
    node.before = lambda method, params: (
        setattr(node, "base_fee", next(raised, node.base_fee)) if "Receipt" in method else None
    )

    with pytest.raises(StuckError):
        box.send(VAULT)

    assert kinds(told) == ["Sent", "Trouble"]
    assert "--max-fee lets it offer no more" in told[1].error
    node.base_fee = 10 * GWEI
    node.mine()
    assert node.mined == 1


def test_stuck__next_call__takes_its_place_for_more(node, outbox):
    box = outbox()
    node.mine = lambda: None
    with pytest.raises(StuckError):
        box.send(VAULT)
    left = node.pool[0]
    del node.mine

    box.send(OTHER)

    (tx,) = node.chain
    assert tx["to"] == OTHER.to and tx["maxFeePerGas"] * 8 >= left["maxFeePerGas"] * 9


def test_stuck__same_call_again__takes_the_receipt_of_either(node, outbox):
    box = outbox()
    node.mine = lambda: None
    with pytest.raises(StuckError):
        box.send(VAULT)
    left = node.pool[0]["hash"]
    del node.mine
    node.eth_sendRawTransaction = lambda raw: node.mine()  # It is too late for a rival.

    assert box.send(VAULT).transaction == left


# What others, or this process before it was killed, have left


def test_inherited__is_mined_while_waited_for__nothing_is_sent(node, outbox):
    outbox()._hand_over(outbox()._signed(flight(VAULT)))

    with pytest.raises(LookAgainError, match="earlier transaction has just been mined"):
        outbox().send(VAULT)

    assert node.mined == 1


def test_inherited__never_mined__is_replaced_at_once_for_what_it_takes(node, outbox):
    """A process was killed after it had offered 40 gwei; the next one knows nothing of that."""
    old = outbox()._signed(flight(VAULT, most=40 * GWEI, tip=3 * GWEI))
    node.eth_sendRawTransaction("0x" + old.raw.hex())
    node.mine = lambda: node.blocks.append({"hash": "0xe", "transactions": []})
    box = outbox()
    hand_over = box._hand_over

    def accepted(sent):
        is_in_line = hand_over(sent)
        if is_in_line:
            del node.mine
        return is_in_line

    box._hand_over = accepted
    box.send(VAULT)

    assert node.mined == 1 and node.chain[0]["maxFeePerGas"] >= 44 * GWEI
    assert node.now < 30


def test_inherited__somebody_elses_account__is_left_in_line(node, outbox):
    """A wallet is not alone: what its owner has sent elsewhere must not be replaced."""
    other = outbox()._signed(flight(OTHER))
    node.eth_sendRawTransaction("0x" + other.raw.hex())

    outbox(is_alone=False).send(VAULT)

    assert [tx["to"] for tx in node.chain] == [OTHER.to, VAULT.to]


def test_nonce_taken__by_a_keeper_elsewhere__looks_again_instead_of_sending_anew(node, outbox):
    box = outbox()
    other = box._signed(flight(OTHER, most=90 * GWEI, tip=9 * GWEI))
    send = node.eth_sendRawTransaction

    def taken(raw):
        node.eth_sendRawTransaction = send
        send("0x" + other.raw.hex())
        node.mine()
        return send(raw)

    node.eth_sendRawTransaction = taken

    with pytest.raises(LookAgainError, match="nonce 0 .* went to another transaction"):
        box.send(VAULT)
    assert [tx["to"] for tx in node.chain] == [OTHER.to]


def test_mempool__somebody_does_it_already__is_not_sent_until_that_has_had_its_time(node, outbox):
    box = outbox()
    seen = []

    def overtaken(request, block):
        seen.append(block)
        raise RevertError("NothingDue", "NothingDue")

    node.eth_call = overtaken
    for _ in range(YIELD_SECONDS // 2):
        with pytest.raises(LookAgainError, match="somebody's transaction does it already"):
            box.send(VAULT)
        assert "eth_sendRawTransaction" not in node.asked
        node.now += 2

    box.send(VAULT)

    assert set(seen) == {"pending"} and node.mined == 1
    with pytest.raises(LookAgainError):
        box.send(VAULT)


def test_mempool__node_that_does_not_tell__is_no_hindrance(node, outbox):
    def unknown(request, block):
        raise LeverageError("the node refused eth_call: pending block is not available")

    node.eth_call = unknown

    outbox().send(VAULT)

    assert node.mined == 1


def flight(call, most=21 * GWEI, tip=GWEI):
    from leverage.keeper.transactions import Fees, Flight

    return Flight(call, 0, 1_300_000, Fees(most, tip))


# Nodes that fail


def test_answer_lost__after_it_was_taken__is_not_sent_twice(node, outbox, told):
    def lost(method, params):
        if method == "eth_sendRawTransaction":
            node.eth_sendRawTransaction(*params)
            raise UnreachableError("the node did not answer eth_sendRawTransaction")

    node.before = lost

    outbox().send(VAULT)

    assert node.mined == 1 and node.pool == {}
    assert kinds(told) == ["Sent", "Trouble", "Mined"]


def test_node_down__after_sending__is_asked_again_until_it_answers(node, outbox):
    def down(method, params):
        if "eth_sendRawTransaction" in node.asked[:-1] and node.now < 30:
            raise UnreachableError("down")

    node.before = down

    assert outbox().send(VAULT).block >= 1
    assert node.mined == 1


def test_refused__for_another_reason__raises_and_leaves_no_trace(node, outbox):
    def refuse(raw):
        raise LeverageError("the node refused eth_sendRawTransaction: exceeds block gas limit")

    box = outbox()
    node.eth_sendRawTransaction = refuse
    for _ in range(2):
        with pytest.raises(LeverageError, match="exceeds block gas limit"):
            box.send(VAULT)
    del node.eth_sendRawTransaction

    box.send(VAULT)

    assert node.chain[0]["maxFeePerGas"] == 21 * GWEI


@pytest.mark.parametrize("field", ["gasUsed", "status", "blockNumber", "effectiveGasPrice", "logs"])
def test_receipt__nonsense__is_no_receipt(node, field):
    raw = {"transactionHash": "0x1", "blockNumber": "0x1", "blockHash": "0x2", "gasUsed": "0x1"}
    raw |= {"effectiveGasPrice": "0x1", "status": "0x1", "logs": []}
    assert Receipt.of(raw).block == 1
    del raw[field]

    with pytest.raises(UnreachableError, match="a receipt that is none"):
        Receipt.of(raw)


def test_receipt__rollup__counts_its_fee_for_data():
    raw = {"transactionHash": "0x1", "blockNumber": "0x1", "blockHash": "0x2", "gasUsed": "0x2", "logs": []}

    assert Receipt.of({**raw, "effectiveGasPrice": "0x3", "status": "0x1", "l1Fee": "0x5"}).cost == 11


# Reorganisations


def test_confirm__blocks_follow__is_final(node, outbox, told):
    box = outbox()
    box.send(VAULT)

    assert box.confirm(0) == set() and kinds(told)[-1] == "Mined"
    assert box.confirm(20) == set()

    assert kinds(told)[-1] == "Confirmed"
    assert len(node.blocks) - 1 == told[-1].block + 3


def test_confirm__no_blocks_follow__gives_up_waiting(node, outbox, told):
    box = outbox()
    box.send(VAULT)
    node.mine = lambda: None

    assert box.confirm(20) == set()

    assert kinds(told)[-1] == "Mined" and node.now < 30


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
def test_reorg__transaction_is_gone__is_told_and_not_sent_again(node, outbox, told, depth):
    limits = Limits(max_fee=100 * GWEI, stuck_seconds=10, receipt_seconds=60, poll_seconds=1, confirmations=6)
    box = outbox(limits=limits)
    box.send(VAULT)
    for _ in range(depth - 1):
        node.mine()
    sent = node.asked.count("eth_sendRawTransaction")
    node.reorg(depth)

    assert box.confirm(0) == {"ETH3L"}

    assert isinstance(told[-1], events.Vanished) and node.mined == 0
    assert node.asked.count("eth_sendRawTransaction") == sent
    box.send(VAULT)
    assert [tx["nonce"] for tx in node.chain] == [0]


def test_reorg__transaction_is_mined_again_elsewhere__is_followed_there(node, outbox, told):
    box = outbox()
    box.send(VAULT)
    node.reorg(1, is_returned=True)
    node.mine()

    assert box.confirm(30) == set()

    assert kinds(told)[-1] == "Confirmed" and told[-1].block == 2
    assert node.mined == 1


def test_reorg__transaction_waits_again__what_is_sent_next_is_its_rival(node, outbox):
    box = outbox()
    box.send(VAULT)
    node.reorg(1, is_returned=True)
    box.confirm(0)

    box.send(VAULT)
    node.sleep(10)

    assert node.mined == 1


def test_confirm__node_fails__asks_again_later(node, outbox, told):
    box = outbox()
    box.send(VAULT)

    def down(method, params):
        raise UnreachableError("down")

    node.before = down
    assert box.confirm(3) == set()
    node.before = lambda method, params: None
    assert box.confirm(20) == set()

    assert kinds(told)[-1] == "Confirmed"


# Before anything is sent


def test_require_funds__empty_account__is_refused_with_numbers(node, outbox):
    node.balance = 0

    with pytest.raises(LeverageError, match=f"{ME} has 0 ether for gas, and needs 0.02: send it some"):
        outbox().require_funds(2_000_000)
    node.balance = ETHER
    outbox().require_funds(2_000_000)
