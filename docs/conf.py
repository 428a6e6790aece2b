"""How Sphinx builds these pages: `make docs`. No page needs anything from another host."""

project = "connection-ledger"
author = "The connection-ledger authors"
extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
html_theme = "furo"
html_title = "connection-ledger"
html_show_copyright = False
exclude_patterns = ["build"]
# A link to the code has no page here; that every page is reached from the index, tests check.
suppress_warnings = ["misc.highlighting_failure", "myst.xref_missing", "toc.not_included"]
