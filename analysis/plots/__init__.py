"""One module per plot: a pure ``*_info`` builder, a caption, and a thin renderer to SVG."""
