"""A report as one HTML file that needs nothing else: plots inside, for any width and for light and dark."""

from collections.abc import Callable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from leverage.report import plots, tables
from leverage.report.cases import Case, Report
from leverage.report.plots import PLOTS

__all__ = ["PLOTS", "render"]


def render(report: Report, tell: Callable[[], None] = lambda: None) -> str:
    """The page. `tell` is called after each plot."""

    def draw(name: str, case: Case) -> Markup:
        drawn = Markup(plots.draw(name, case))
        tell()
        return drawn

    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
    return environment.get_template("page.html").render(
        report=report,
        groups=tables.GROUPS,
        compared=tables.COMPARED,
        colours=plots.COLOURS,
        plots=PLOTS,
        draw=draw,
    )
