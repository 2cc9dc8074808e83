"""Pages about runs: read the journal, write self-contained HTML, CSV and JSON.

Every plot is a pure ``*_info`` builder, tested on its values, and a thin renderer to SVG.
"""

from analysis.pages import render_index, render_run

__all__ = ["render_index", "render_run"]
