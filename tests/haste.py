"""What Ape does for a person at a console and a test can do without, left out: most of the time of a test.

Private names of Ape 0.8 throughout: where a new version has others, this stops with an AttributeError.
"""

from functools import lru_cache, partialmethod
from typing import Any


def hasten() -> None:
    """Make Ape quick on whatever local chain it is connected to."""
    import ape_ethereum.provider
    import requests.sessions
    from ape_ethereum.provider import Web3Provider
    from web3.eth import Eth

    # It takes a trace of each transaction, to look for console.log. To name that contract is all that follows
    # a connection; but each provider ever made adds one more call of it to all connections from then on.
    _replace(ape_ethereum.provider, "_post_send_transaction", lambda transaction, receipt: None)
    _replace(Web3Provider, "_post_connect", lambda provider: None)
    # It looks for a proxy in the environment at each request.
    _replace(requests.sessions, "get_environ_proxies", lambda url, no_proxy=None: {})
    # It waits a tenth of a second for a receipt that comes in a hundredth.
    _replace(
        Eth,
        "wait_for_transaction_receipt",
        partialmethod(Eth.wait_for_transaction_receipt, poll_latency=0.002),
    )


def hasten_own() -> None:
    """The same, and more on an Anvil that Ape has started for itself: Anvil signs, and gas is free."""
    import ape.utils.testing
    from ape.api.transactions import ReceiptAPI
    from ape.contracts.base import ContractMethodHandler
    from ape_ethereum.ecosystem import Ethereum
    from ape_ethereum.transactions import TransactionType
    from ape_foundry.provider import FoundryProvider

    hasten()
    # Ape derives the same accounts anew for each line of a trace.
    _replace(
        ape.utils.testing, "_generate_dev_account", lru_cache(None)(ape.utils.testing._generate_dev_account)
    )
    # It asks for the code of a contract before each call, for the kind of transactions that the configuration
    # prefers, for the gas limit of the last block and two prices of gas; web3 asks for a third and for the
    # chain; and when the receipt is there, Ape asks whether blocks are made at once, and for the new nonce.
    _replace(ContractMethodHandler, "_validate_is_contract", lambda handler: None)
    _replace(Ethereum, "default_transaction_type", property(lambda ecosystem: TransactionType.DYNAMIC))
    _replace(FoundryProvider, "max_gas", 30_000_000)
    _replace(FoundryProvider, "base_fee", 0)
    _replace(FoundryProvider, "priority_fee", 0)
    _replace(FoundryProvider, "_send_transaction", _send)
    _replace(FoundryProvider, "auto_mine", True)
    _replace(ReceiptAPI, "_await_sender_nonce_increment", lambda receipt: None)
    _replace(FoundryProvider, "restore", _restore)


def _send(provider: Any, transaction: Any) -> str:
    """Have Anvil sign a transaction; its hash, once it is in a block."""
    fields = transaction.model_dump(by_alias=True, mode="json")
    fields = {name: hex(value) if isinstance(value, int) else value for name, value in fields.items()}
    return str(provider.make_request("eth_sendTransactionSync", [fields])["transactionHash"])


def _restore(provider: Any, snapshot: str) -> bool:
    """Go back to a snapshot. Anvil may not have forgotten what it mined last, and would mine it again."""
    is_done: bool = provider.make_request("evm_revert", [snapshot])
    provider.make_request("anvil_dropAllTransactions", [])
    return is_done


def _replace(owner: Any, name: str, by: Any) -> None:
    getattr(owner, name)
    setattr(owner, name, by)
