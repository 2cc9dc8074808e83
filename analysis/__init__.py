"""Pages about runs: read the journal, write self-contained HTML, CSV and JSON.

Every plot is a pure ``*_info`` builder, tested on its values, and a thin renderer to SVG.
"""

from analysis.compare_page import render_comparison
from analysis.index_page import render_index
from analysis.pages import render_run

__all__ = ["render_comparison", "render_index", "render_run"]
