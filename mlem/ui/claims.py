"""What a teacher may want beside a lesson: how to hold a class, and what was found, as README.md has it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_README = Path(__file__).parents[2] / "README.md"
_HEADING = "## What was found"


@cache
def findings(readme: Path = _README) -> str:
    """README's table of findings, in Markdown; "" where there is no README. Each option of a command is code of its own: within
    code no line is to end, as a browser would end it after "--"."""
    if not readme.is_file():
        return ""
    section = readme.read_text(encoding="utf-8").partition(_HEADING)[2].partition("\n## ")[0]
    return "\n".join(line.replace(" --", "` `--") for line in section.splitlines() if line.startswith("|"))


def classroom() -> str:
    """What to do before class."""
    return """
The app runs on **one** computer, yours or a hosted one; the class needs a browser and no installation. A page is a few
megabytes once, and then only numbers; animations play in the browser, without traffic. What a student did is in her link: when
the wifi drops, reloading the page brings her back to it.

1. **The day before.** Start the app on your own laptop: `streamlit run app.py`. It prints a *Network URL*: the address for the
   class, which belongs into “Address of the app for the class” above.
2. **In the room, two minutes.** Open that address on a phone in the same wifi. If it does not open, the wifi keeps its guests
   apart: use your phone’s hotspot, a cable, or the hosted app.
3. Go through the lesson once yourself, to its last step: what has been computed then is there for the whole class.
4. Print the sheet, or show it on the projector. Let everybody open the link **now**, while you talk: the first page is the slow
   one.
5. `python -m mlem bench app` measures how many students your computer bears.
"""
