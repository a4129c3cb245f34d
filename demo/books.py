"""Where the money is at the venue, by the venue's own books."""

from devnet import PerpV2
from devnet.perp_v2_build import ARBITRAGEUR, ATTACKER, LIQUIDATOR, MAKER
from leverage.types import WAD

Accounts = dict[str, int]


def worth(perp: PerpV2, trader: str) -> int:
    """What a venue account is worth at the index prices, WAD: Perp v2's own sum, its mark price replaced."""
    owed, _, pending_fee = perp.account_balance.call("getPnlAndPendingFee", trader)
    total = perp.vault.call("getBalance", trader) * 10 ** (18 - perp.decimals) + owed + pending_fee
    for name, market in perp.markets.items():
        size = perp.account_balance.call("getTotalPositionSize", trader, market.base_token)
        total += perp.account_balance.call("getTotalOpenNotional", trader, market.base_token)
        total += size * perp.index_price(name) // WAD
        total -= perp.exchange.call("getPendingFundingPayment", trader, market.base_token)
    return total


def held(perp: PerpV2, account: str) -> int:
    """An account's collateral outside the venue, WAD."""
    return perp.settlement_token.call("balanceOf", account) * 10 ** (18 - perp.decimals)


def venue_accounts(perp: PerpV2) -> Accounts:
    """Everybody at the venue but the protocol. In all, a venue neither makes money nor loses any."""
    return {
        "makers": worth(perp, MAKER),
        "arbitrageur": worth(perp, ARBITRAGEUR),
        "other_traders": worth(perp, ATTACKER) + worth(perp, LIQUIDATOR),
        "insurance_fund": worth(perp, perp.insurance_fund) + held(perp, perp.insurance_fund),
    }
