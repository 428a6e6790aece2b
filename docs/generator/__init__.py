"""Takes out of the code what the pages under `docs/reference` say about it.

A page is written by people, apart from the parts between `<!-- from the code: NAME -->` and
`<!-- end -->`: those are replaced by what the code itself says now. `make docs` does that, and a
test fails while a page says anything else. What lacks a description raises `UndocumentedError`.
"""
