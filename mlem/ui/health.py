"""``python -m mlem.ui.health [PORT]``: is the app well? It opens the landing page as a visitor and waits for its figures.

That a socket answers says little: here the page's script has to run to its end, without an error, and to have shown something.
Exit status 0 if so, else 1 and a sentence.
"""

from __future__ import annotations

import asyncio
import random
import sys

from mlem.ui.serving import HOST
from mlem.ui.tab import Tab, Unanswered

PORT = 8501


async def ailment(port: int) -> str | None:
    """What is wrong with the app on ``port`` of this machine; None if nothing is."""
    wrong = list[str]()
    tab = Tab(f"ws://{HOST}:{port}", random.Random(0), wrong.append)
    try:
        answer = await tab.open()
    except (OSError, Unanswered) as error:
        return f"the landing page did not open: {error}"
    finally:
        await tab.close()
    if wrong:
        return f"the landing page told of an error: {wrong[0]}"
    return None if answer.figure is not None else "the landing page showed no figure"


def main(arguments: list[str]) -> int:
    """Exit status."""
    found = asyncio.run(ailment(int(arguments[0]) if arguments else PORT))
    if found:
        print(f"not well: {found}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
