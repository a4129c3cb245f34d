"""What is wrong before a keeper begins: one line that says what, and how to mend it; code 2, nothing sent."""

import json
import re

import ape
import pytest
from click.testing import CliRunner
from eth_account import Account

from devnet import Anvil
from leverage import chain
from scripts.keeper import cli

pytestmark = [pytest.mark.e2e, pytest.mark.venue]

FAILED, MISCONFIGURED = 1, 2
PASSPHRASE = "correct horse battery staple"
KEY = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"  # TEST::1's, as everybody knows.
POOR_KEY = "0x" + "42" * 32


@pytest.fixture
def run(site, deployed):
    """`ape run keeper once` in this process."""

    def once(*args, account="TEST::1", folder=None, network=None, env=None):
        line = ["once", "--network", network or site.url, "--deployments", str(folder or site.folder)]
        line += ["--account", account] if account else []
        return CliRunner(mix_stderr=False).invoke(cli, [*line, *args], env=env)

    return once


@pytest.fixture
def refused(site, run):
    """It was refused with this code and one line that says so; nothing was sent, and no secret was told."""

    def check(said, *args, code=MISCONFIGURED, **options):
        before = site.perp.rpc("eth_blockNumber")
        result = run(*args, **options)
        assert result.exit_code == code, result.output + result.stderr
        lines = [line for line in result.stderr.splitlines() if line.startswith("Error")]
        assert len(lines) == 1, result.stderr
        assert re.search(said, lines[0]), lines[0]
        told = result.output + result.stderr
        assert "Traceback" not in told and PASSPHRASE not in told
        assert KEY[2:] not in told and POOR_KEY[2:] not in told
        assert site.perp.rpc("eth_blockNumber") == before

    return check


@pytest.fixture
def keyfile(tmp_path, monkeypatch):
    """An encrypted account of Ape's, in a folder of its own."""
    container = ape.accounts.containers["accounts"]
    folder = tmp_path / "accounts"
    folder.mkdir()
    monkeypatch.setitem(container.__dict__, "data_folder", folder)

    def make(alias, key=KEY):
        encrypted = Account.encrypt(key, PASSPHRASE, kdf="pbkdf2", iterations=2)
        (folder / f"{alias}.json").write_text(json.dumps(encrypted))
        return folder / f"{alias}.json"

    yield make
    container.loaded_accounts.clear()


@pytest.fixture
def passphrase(tmp_path):
    """A file with a passphrase that its owner alone can read."""

    def write(text=PASSPHRASE + "\n", mode=0o600):
        path = tmp_path / "passphrase"
        path.write_text(text)
        path.chmod(mode)
        return str(path)

    return write


# The account


def test_account__none__says_how_to_name_one(refused):
    refused(r"which account\? pass --account", account=None)


def test_account__unknown__is_refused(refused):
    refused("Account with alias 'nobody' not found", account="nobody")


def test_account__locked__says_how_to_give_the_passphrase(refused, keyfile):
    keyfile("night")

    refused(
        "account night is locked: set APE_ACCOUNTS_night_PASSPHRASE, or name a file with", account="night"
    )


def test_account__wrong_passphrase__is_refused(refused, keyfile, passphrase):
    keyfile("night")

    refused(
        "account night: the passphrase does not open it",
        account="night",
        env={"APE_ACCOUNTS_night_PASSPHRASE": "wrong"},
    )
    refused(
        "account night: the passphrase does not open it",
        *("--passphrase-file", passphrase("wrong")),
        account="night",
    )


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder, write: str(folder / "none"), "none cannot be read: No such file"),
        (lambda folder, write: str(folder), "can be read by others|cannot be read"),
        (lambda folder, write: write(mode=0o644), "can be read by others: run `chmod 600"),
        (lambda folder, write: write("\n"), "passphrase is empty: write the passphrase into it"),
    ],
    ids=["missing", "folder", "open to others", "empty"],
)
def test_passphrase_file__unusable__is_refused(refused, keyfile, passphrase, tmp_path, make, said):
    keyfile("night")

    refused(said, "--passphrase-file", make(tmp_path, passphrase), account="night")


def test_passphrase_file__right__opens_the_account_and_is_told_to_nobody(site, run, keyfile, passphrase):
    keyfile("night")
    site.move("ETH", -12)

    result = run("--passphrase-file", passphrase(), account="night")

    assert result.exit_code == 0, result.stderr
    assert [json.loads(line)["event"] for line in result.output.splitlines()] == ["sent", "rebalance", "pass"]
    told = result.output + result.stderr
    assert result.stderr == "" and PASSPHRASE not in told and KEY[2:] not in told


@pytest.mark.parametrize("lost", ["kdf", "ciphertext"])
def test_account__damaged_key_file__is_refused(refused, keyfile, passphrase, lost):
    path = keyfile(f"without{lost}")
    data = json.loads(path.read_text())
    data["crypto"][lost] = 7
    path.write_text(json.dumps(data))

    refused(
        f"account without{lost}: its key file is damaged; import it again",
        *("--passphrase-file", passphrase()),
        account=f"without{lost}",
    )


def test_account__without_ether__is_refused_with_its_address(refused, keyfile, passphrase):
    keyfile("poor", POOR_KEY)

    refused(
        f"{Account.from_key(POOR_KEY).address} has 0 ether for gas, and needs .*: send it some",
        *("--passphrase-file", passphrase()),
        account="poor",
    )


# The chain and what is deployed on it


def test_network__unknown_name__is_refused(refused):
    refused("No ecosystem named 'nochain'|No .* named 'nochain'|nochain", network="nochain:mainnet:node")


def test_network__url_is_not_set__names_the_variable(refused, monkeypatch):
    monkeypatch.delenv("OPTIMISM_RPC_URL", raising=False)

    refused("OPTIMISM_RPC_URL", network="optimism:mainnet:node")


def test_network__nobody_there__fails(refused):
    refused("no node answers for network", network="http://127.0.0.1:1", code=FAILED)


def test_network__says_nothing__fails_in_time(refused, monkeypatch, tmp_path):
    """A port that takes connections, and never answers. Ape itself would wait for half an hour."""
    import socket

    monkeypatch.setattr(chain, "CONNECT_SECONDS", 1)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()

        refused(
            "the node did not answer within 1 s",
            network=f"http://127.0.0.1:{mute.getsockname()[1]}",
            code=FAILED,
        )


def test_chain__another_than_deployed_on__is_refused(refused):
    with Anvil.start(chain_id=4242) as other:
        refused("nothing is deployed on chain 4242: .*4242.json is missing", network=other.url)


def test_chain__of_the_same_id__is_refused(refused):
    with Anvil.start() as other:
        refused("31337.json belongs to another chain with the same id 31337", network=other.url)


def spoilt(change):
    def spoil(path):
        data = json.loads(path.read_text())
        change(data)
        path.write_text(json.dumps(data))

    return spoil


def without(*keys):
    def remove(data):
        for key in keys[:-1]:
            data = data[key]
        del data[keys[-1]]

    return spoilt(remove)


ELSEWHERE = "0x00000000000000000000000000000000DeaDBeef"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.write_text("{"), "31337.json: not valid JSON"),
        (lambda path: path.write_bytes(b"\xff\xfe\xff"), "31337.json: not valid JSON"),
        (lambda path: path.write_text("[]"), "31337.json: not a deployment record"),
        (lambda path: (path.unlink(), path.mkdir()), "31337.json cannot be read: Is a directory"),
        (spoilt(lambda data: data.update(chainId=10)), "31337.json belongs to chain 10, not to 31337"),
        (spoilt(lambda data: data.update(tokens=[])), "31337.json: not a deployment record"),
        (without("tokens", "ETH3L", "vault"), "31337.json: tokens.ETH3L.vault is missing: restore the file"),
        (without("contracts", "Lens"), "31337.json: contracts.Lens is missing: restore the file"),
        (without("contracts", "VaultFactory"), "31337.json: contracts.VaultFactory is missing"),
        (without("abis", "InstantVault"), "31337.json: abis.InstantVault is missing: restore the file"),
        (
            spoilt(lambda data: data["tokens"]["ETH3L"].update(vault=ELSEWHERE)),
            f"31337.json: the vault {ELSEWHERE} of ETH3L is none of the factory's 0x",
        ),
        (
            spoilt(lambda data: data["contracts"]["VaultFactory"].update(address=ELSEWHERE)),
            f"there is no contract at {ELSEWHERE}",
        ),
        (
            spoilt(lambda data: data["contracts"]["Lens"].update(address=ELSEWHERE)),
            f"there is no contract at {ELSEWHERE}",
        ),
    ],
)
def test_record__wrong__is_refused(site, refused, spoil, said):
    spoil(site.folder / "31337.json")

    refused(said)


def test_record__of_no_token_asked_for__is_refused(refused):
    refused("no token 'DOGE3L' on chain 31337: known are ETH3L, ETH3S", "--token", "DOGE3L")


# The options


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--every", "0"), "Invalid value for '--every'"),
        (("--every", "soon"), "Invalid value for '--every'"),
        (("--max-fee", "0"), "Invalid value for '--max-fee'"),
        (("--max-fee", "nan"), "Invalid value for '--max-fee': 'nan' is no number"),
        (("--max-fee", "1 gwei"), "Invalid value for '--max-fee'"),
        (("--max-loss", "-1"), "Invalid value for '--max-loss': -1 is below zero"),
        (("--max-loss", "much"), "Invalid value for '--max-loss': 'much': not a number"),
        (("--confirmations", "-1"), "Invalid value for '--confirmations'"),
        (("--send-rpc", "nonsense"), "--send-rpc: not a URL that begins with http"),
        (("--send-rpc", "ftp://127.0.0.1"), "--send-rpc: not a URL that begins with http"),
        (("--send-rpc", "http://[::1"), "--send-rpc: not a URL that begins with http"),
        (("--send-rpc", "https://relay/$NO_SUCH_KEY"), "--send-rpc: set NO_SUCH_KEY in the environment"),
    ],
)
def test_option__nonsense__is_refused(refused, args, said):
    refused(said, *args)


def test_send_rpc__nobody_there__fails_without_its_secret(run):
    result = run("--send-rpc", "http://127.0.0.1:1/${RELAY_KEY}", env={"RELAY_KEY": "s3cret"})

    assert result.exit_code == FAILED
    assert "--send-rpc did not answer eth_chainId" in result.stderr
    assert "s3cret" not in result.output + result.stderr


def test_send_rpc__of_another_chain__is_refused(refused):
    with Anvil.start(chain_id=10) as other:
        refused("that of --send-rpc is of chain 10, not of 31337", "--send-rpc", other.url)


def test_max_loss__nothing_tells_the_price_of_ether__is_refused(site, refused):
    without("contracts", "ETH oracle")(site.folder / "31337.json")

    refused("--max-loss needs the price of ether, and no token of market ETH", "--max-loss", "5")


def test_lock__on_a_disk_that_locks_nothing__says_so(refused, monkeypatch):
    import errno
    import fcntl

    def unlockable(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unlockable)

    refused("cannot be locked .No locks available.: it must lie on a disk of this machine")


def test_lock__folder_cannot_be_written__says_so(refused, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(chain, "LOCKS", tmp_path / "file")

    refused("the lock .* cannot be opened: (Not a directory|File exists)")


def test_dry_run__needs_no_account_and_sends_nothing(site, run):
    site.move("ETH", -12)
    before = site.perp.rpc("eth_blockNumber")

    result = run("--dry-run", account=None)

    assert result.exit_code == 0 and '"would_rebalance"' in result.output
    assert site.perp.rpc("eth_blockNumber") == before
