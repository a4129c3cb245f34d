"""Tests on real market data, which are read where they lie."""

import pytest

from history import data


@pytest.fixture(autouse=True, scope="session")
def market_data():
    if not data.FOLDER.is_dir():
        pytest.skip(
            f"not run: no market data; looked for {data.FOLDER}, name their folder in {data.VARIABLE}"
        )
