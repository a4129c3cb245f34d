"""What a holder does: mint, burn, look. Everything is checked and said in words before it is sent."""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from leverage.chain import Chain, Contract
from leverage.config import to_wad
from leverage.errors import LeverageError
from leverage.types import WAD

SHARE_DECIMALS = 18


@dataclass(frozen=True)
class Trade:
    """What went in and what came out, in base units, and the transaction."""

    assets: int
    shares: int
    transaction: str


class Wallet:
    """One token, seen from one account."""

    def __init__(self, chain: Chain, symbol: str, account: Any = None):
        self.chain = chain
        self.symbol = symbol
        self.account = account
        entry = chain.record.token(symbol)
        self.vault = chain.vault(symbol)
        self.token = chain.contract("LeveragedToken", entry["token"])
        self.terms = chain.contract("VaultTerms", entry["terms"])
        self.asset = chain.contract("LeveragedToken", entry["asset"])
        self.asset_symbol: str = entry["assetSymbol"]
        self.decimals: int = entry["assetDecimals"]

    def mint(self, amount: str, slippage: int, seconds: int, least: str | None = None) -> Trade:
        """Mint for `amount` of collateral: at least `least` shares, or the preview less `slippage` (WAD)."""
        me = self.account.address
        assets = self._stake(amount, self.vault, self.vault.call("maxDeposit", me))
        shares = self.vault.call("previewDeposit", assets)
        floor = self._floor(shares, slippage, least, SHARE_DECIMALS, self.symbol)
        self._approve(self.vault, assets)
        receipt = self.vault.send(self.account, "deposit", assets, me, floor, self.chain.time() + seconds)
        event = self.vault.event(receipt, "Deposit")
        return Trade(event["assets"], event["shares"], receipt.transaction)

    def burn(self, amount: str, slippage: int, seconds: int, least: str | None = None) -> Trade:
        """Burn `amount` of shares, or "all", for at least `least`, or the preview less `slippage` (WAD)."""
        me = self.account.address
        shares = self._shares(amount)
        assets = self.vault.call("previewRedeem", shares)
        floor = self._floor(assets, slippage, least, self.decimals, self.asset_symbol)
        receipt = self.vault.send(self.account, "redeem", shares, me, me, floor, self.chain.time() + seconds)
        event = self.vault.event(receipt, "Withdraw")
        return Trade(event["assets"], event["shares"], receipt.transaction)

    def claim(self) -> list[str]:
        """Take what settled requests have brought; says what that is."""
        raise LeverageError(f"{self.symbol} is minted and burned at once: there is nothing to claim")

    def cancel(self) -> list[str]:
        """Take requests back that have not gone out; says which."""
        raise LeverageError(f"{self.symbol} is minted and burned at once: there is nothing to cancel")

    def status(self) -> dict[str, str]:
        """The account's requests, line by line."""
        return {"requests": f"none: {self.symbol} is minted and burned at once"}

    def info(self) -> dict[str, str]:
        """What there is to know about the token, line by line."""
        entry, terms = self.chain.record.token(self.symbol), self.terms
        (report,) = self.chain.read_reports([self.vault.address])
        fees, caps = terms.call("fees"), terms.call("caps")
        lines = {"name": entry["name"], "token": entry["token"], "vault": entry["vault"]}
        if report.snapshot is None:
            lines["price"] = report.failure
        else:
            s = report.snapshot
            lines |= {
                "index price": f"{s.price / WAD:,.2f}",
                "nav": f"{s.nav / WAD:.6f}",
                "leverage": f"{s.leverage / WAD:.3f}x of {s.target / WAD:g}x",
                "equity": f"{s.equity / WAD:,.2f} {self.asset_symbol}",
                "supply": f"{s.supply / WAD:,.4f}",
                "state": "ruined"
                if s.ruined
                else "minting paused"
                if s.paused_until > s.timestamp
                else "open",
            }
        lines["fees"] = (
            f"{fees['mint'] * 10_000 / WAD:g} bp in, {fees['burn'] * 10_000 / WAD:g} bp out,"
            f" {fees['management_per_day'] * 10_000 / WAD:g} bp per day"
        )
        lines["caps"] = f"{self.show(caps['daily'])} per day, {self.show(caps['total'])} in total"
        if self.account is not None:
            me = self.account.address
            held = self.token.call("balanceOf", me)
            worth = self._worth(held) if held else None
            worth_ = "" if worth is None else f" worth {self.show(worth)} {self.asset_symbol}"
            lines["yours"] = f"{show(held, SHARE_DECIMALS)}{worth_}"
            lines["wallet"] = f"{self.show(self.asset.call('balanceOf', me))} {self.asset_symbol}"
        return lines

    def show(self, assets: int) -> str:
        """Assets for a reader."""
        return show(assets, self.decimals)

    def told(self, trade: Trade, is_mint: bool) -> str:
        """What went in, and what came out."""
        assets = f"{self.show(trade.assets)} {self.asset_symbol}"
        shares = f"{show(trade.shares, SHARE_DECIMALS)} {self.symbol}"
        return f"{assets} → {shares}" if is_mint else f"{shares} → {assets}"

    def _worth(self, shares: int) -> int | None:
        """What burning would bring; None when nobody knows."""
        return int(self.vault.call("previewRedeem", shares))

    def _stake(self, amount: str, door: Contract, room: int) -> int:
        """An amount to mint for, if the account has it and the caps leave `room` for it."""
        assets = parse_amount(amount, self.decimals, self.asset_symbol)
        self._require_balance(self.asset, assets, self.decimals, self.asset_symbol)
        if assets > room:
            open_ = door.call("room")  # Reverts with the reason when minting is closed.
            raise LeverageError(
                f"the caps of {self.symbol} leave room for {self.show(open_)} {self.asset_symbol} now,"
                f" {amount} is too much: mint less, or after 00:00 UTC"
            )
        return assets

    def _shares(self, amount: str) -> int:
        """An amount to burn, if the account has it."""
        held = self.token.call("balanceOf", self.account.address)
        shares = held if amount == "all" else parse_amount(amount, SHARE_DECIMALS, self.symbol)
        if shares == 0:
            raise LeverageError(f"{self.account.address} holds no {self.symbol}")
        self._require_balance(self.token, shares, SHARE_DECIMALS, self.symbol)
        return int(shares)

    def _approve(self, door: Contract, assets: int) -> None:
        if self.asset.call("allowance", self.account.address, door.address) < assets:
            self.asset.send(self.account, "approve", door.address, assets)

    def _require_balance(self, token: Contract, amount: int, decimals: int, symbol: str) -> None:
        held = token.call("balanceOf", self.account.address)
        if held < amount:
            wanted = show(amount, decimals)
            raise LeverageError(f"{self.account.address} holds {show(held, decimals)} {symbol}, not {wanted}")

    def _floor(self, expected: int, slippage: int, least: str | None, decimals: int, symbol: str) -> int:
        if least is None:
            return expected * (WAD - slippage) // WAD
        floor = parse_amount(least, decimals, symbol)
        if floor > expected:
            would = f"{show(expected, decimals)} {symbol}"
            raise LeverageError(f"--min-out {least}: only {would} would come out now; ask for less or wait")
        return floor


def parse_amount(text: str, decimals: int, symbol: str) -> int:
    """A positive decimal in base units."""
    try:
        scaled = Decimal(text.replace(",", "").replace("_", "")) * 10**decimals
        if not scaled.is_finite():
            raise InvalidOperation
    except InvalidOperation:
        raise LeverageError(f"{text!r} is not an amount of {symbol}") from None
    if scaled <= 0:
        raise LeverageError(f"{text} {symbol}: the amount must be above zero")
    if scaled != scaled.to_integral_value():
        raise LeverageError(f"{text} {symbol}: at most {decimals} digits after the point")
    return int(scaled)


def parse_fraction(text: str) -> int:
    """A slippage, from 0 to below 1, as WAD."""
    try:
        fraction = to_wad(text)
    except ValueError as error:
        raise LeverageError(f"--slippage {text}: {error}") from None
    if not 0 <= fraction < WAD:
        raise LeverageError(f"--slippage {text}: must be from 0 to below 1")
    return fraction


def show(amount: int, decimals: int) -> str:
    """Base units for a reader: no more digits than needed."""
    text = f"{Decimal(amount) / 10**decimals:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
