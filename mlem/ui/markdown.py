"""Text that may come from anybody's link, shown as it is."""

from __future__ import annotations

import re

_MARKS = re.compile(r"[\\`*_{}\[\]<>~$:!#|&@^]")


def plain(text: str) -> str:
    """``text`` without what Markdown would make of it: pictures on other servers and links to elsewhere included."""
    marked = _MARKS.sub(r"\\\g<0>", text)
    return marked.replace("http", "ht\u2060tp").replace("www", "ww\u2060w").replace("\n", "  \n")
