"""Where the money is at the venue, by the venue's own books."""

from abc import ABC, abstractmethod

from devnet import Contract, PerpV2, Synthetix
from devnet.artifacts import synthetix
from devnet.perp_v2_build import ARBITRAGEUR, ATTACKER, LIQUIDATOR
from devnet.synthetix_build import KEEPER, TAKER, key
from devnet.venue import MAKER
from leverage.types import WAD

Accounts = dict[str, int]


class Ledger(ABC):
    """What accounts are worth at the index prices, WAD. In all, a venue neither makes money nor loses any."""

    labels: dict[str, str]  # Of `accounts()`, for the reader, in the order to show them.

    @abstractmethod
    def accounts(self, given: int) -> Accounts:
        """Everybody at the venue but the protocol; `given` is what holders have been given."""

    @abstractmethod
    def worth(self, trader: str) -> int:
        """What a venue account is worth."""

    @abstractmethod
    def held(self, account: str) -> int:
        """An account's collateral outside the venue."""


class PerpV2Ledger(Ledger):
    """Perp v2: what one trader wins others lose."""

    labels = {
        "makers": "makers of the pools",
        "arbitrageur": "arbitrageur",
        "insurance_fund": "insurance fund of the venue",
        "other_traders": "another trader",
    }

    def __init__(self, perp: PerpV2):
        self.perp = perp

    def accounts(self, given: int) -> Accounts:
        """Everybody at the venue but the protocol; `given` is what holders have been given."""
        fund = self.perp.insurance_fund
        return {
            "makers": self.worth(MAKER),
            "arbitrageur": self.worth(ARBITRAGEUR),
            # A played trader whose margin ends is given more.
            "other_traders": self.worth(ATTACKER) + self.worth(LIQUIDATOR) - self._minted() + given,
            "insurance_fund": self.worth(fund) + self.held(fund),
        }

    def worth(self, trader: str) -> int:
        """Perp v2's own sum, its mark price replaced."""
        perp = self.perp
        owed, _, pending_fee = perp.account_balance.call("getPnlAndPendingFee", trader)
        total = perp.vault.call("getBalance", trader) * 10 ** (18 - perp.decimals) + owed + pending_fee
        for name, market in perp.markets.items():
            size = perp.account_balance.call("getTotalPositionSize", trader, market.base_token)
            total += perp.account_balance.call("getTotalOpenNotional", trader, market.base_token)
            total += size * perp.index_price(name) // WAD
            total -= perp.exchange.call("getPendingFundingPayment", trader, market.base_token)
        return total

    def held(self, account: str) -> int:
        """USDC in a wallet."""
        return self.perp.settlement_token.call("balanceOf", account) * 10 ** (18 - self.perp.decimals)

    def _minted(self) -> int:
        return self.perp.settlement_token.call("totalSupply") * 10 ** (18 - self.perp.decimals)


class SynthetixLedger(Ledger):
    """Synthetix: traders trade against the debt pool of all stakers, in sUSD that is burnt and issued.

    The supply of sUSD changes by the tap, and by the markets alone: they burn what traders put in, issue what
    they take out, and issue fees and keepers' rewards out of margins. So of what the tap has issued the debt
    pool gains whatever is neither supply nor owed by the markets (`marketDebt`, kept up trade by trade).
    The sum of all accounts closes only if those named hold the whole supply, and their margins are all that
    the markets owe.
    """

    labels = {
        "debt_pool": "debt pool of the venue, the other side of each trade",
        "fee_pool": "fee pool of the venue",
        "strangers": "strangers who executed orders",
        "other_traders": "other traders",
    }

    def __init__(self, perp: Synthetix):
        self.perp = perp
        pool = Contract(perp.rpc, synthetix("FeePool"), perp.resolver.call("getAddress", key("FeePool")))
        self._fee_pool = pool.call("FEE_ADDRESS")

    def accounts(self, given: int) -> Accounts:
        """Everybody at the venue but the protocol; `given` is what holders have been given."""
        supply = self.perp.settlement_token.call("totalSupply")
        owed = sum(market.market.call("marketDebt")[0] for market in self.perp.markets.values())
        return {
            "debt_pool": given - supply - owed,
            "fee_pool": self.held(self._fee_pool),
            "strangers": self.worth(KEEPER) + self.held(KEEPER),
            "other_traders": sum(self.worth(trader) + self.held(trader) for trader in (MAKER, TAKER)),
        }

    def worth(self, trader: str) -> int:
        """Margins with profit, loss and funding."""
        return sum(market.market.call("remainingMargin", trader)[0] for market in self.perp.markets.values())

    def held(self, account: str) -> int:
        """sUSD in a wallet."""
        return self.perp.settlement_token.call("balanceOf", account)


def ledger_of(venue: PerpV2 | Synthetix) -> PerpV2Ledger | SynthetixLedger:
    """The books of a venue."""
    return SynthetixLedger(venue) if isinstance(venue, Synthetix) else PerpV2Ledger(venue)
