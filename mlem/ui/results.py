"""What pages have computed, for all sessions of the server."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any


class Results:
    """What was computed, once for all sessions that ask the same. The ``most`` that were asked for last are kept."""

    def __init__(self, most: int) -> None:
        self._most, self._kept = most, OrderedDict[Hashable, Any]()
        self._making = dict[Hashable, threading.Lock]()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Any:
        """The result; None where there is none yet."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def make(self, key: Hashable, work: Callable[[], Any]) -> Any:
        """The result, which is computed here and now unless somebody else is just doing that. Raises what ``work`` raises."""
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
        with making:
            result = self.get(key)
            if result is None:
                try:
                    result = work()
                finally:
                    with self._lock:
                        self._making.pop(key, None)
                self.put(key, result)
        return result

    def put(self, key: Hashable, result: Any) -> None:
        """Keeps a result that was there already."""
        with self._lock:
            self._kept[key] = result
            self._kept.move_to_end(key)
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
