"""What Ape does for a person at a console and a test can do without, left out: most of the time of a test.

Private names of Ape 0.8 throughout: where a new version has others, this stops with an AttributeError.
"""

from functools import lru_cache, partialmethod
from typing import Any


def hasten() -> None:
    """Make Ape quick on a local chain that only this process uses."""
    import ape.utils.testing
    import ape_ethereum.provider
    import requests.sessions
    from ape.contracts.base import ContractMethodHandler
    from ape_ethereum.ecosystem import Ethereum
    from ape_ethereum.provider import Web3Provider
    from ape_ethereum.transactions import TransactionType
    from web3.eth import Eth

    # It derives the same accounts anew for each line of a trace ...
    _replace(
        ape.utils.testing, "_generate_dev_account", lru_cache(None)(ape.utils.testing._generate_dev_account)
    )
    # ... and takes a trace of each transaction, to look for console.log.
    _replace(ape_ethereum.provider, "_post_send_transaction", lambda transaction, receipt: None)
    # It asks for the code of a contract before each call, for the gas limit of the last block, for the kind
    # of transactions that the configuration prefers, and for a proxy in the environment.
    _replace(ContractMethodHandler, "_validate_is_contract", lambda handler: None)
    _replace(Web3Provider, "max_gas", property(lambda provider: 30_000_000))
    _replace(Ethereum, "default_transaction_type", property(lambda ecosystem: TransactionType.DYNAMIC))
    _replace(requests.sessions, "get_environ_proxies", lambda url, no_proxy=None: {})
    # It waits a tenth of a second for a receipt that comes in a hundredth.
    _replace(
        Eth,
        "wait_for_transaction_receipt",
        partialmethod(Eth.wait_for_transaction_receipt, poll_latency=0.002),
    )


def _replace(owner: Any, name: str, by: Any) -> None:
    getattr(owner, name)
    setattr(owner, name, by)
