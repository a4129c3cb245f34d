"""docs/history.md says what the data give now."""

from history import page


def test_page__committed__is_what_the_data_give(tmp_path):
    page.write(lambda doing: None, tmp_path / "history.md", tmp_path / "history")

    assert (tmp_path / "history.md").read_text() == page.PAGE.read_text()
    drawn = {path.name for path in (tmp_path / "history").iterdir()}
    assert drawn == {path.name for path in page.PLOTS.iterdir()}


def test_page__plots__are_small_and_all_shown():
    text = page.PAGE.read_text()

    for plot in page.PLOTS.iterdir():
        assert f"](history/{plot.name})" in text
        assert plot.stat().st_size < 200_000
