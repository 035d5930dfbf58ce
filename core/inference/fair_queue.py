"""Who is asked for next: users take turns, each with a queue of their own, so that fifty images of one don't delay the
others.
"""

import threading
from collections import OrderedDict, deque
from collections.abc import Hashable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from typing import Any

from core.errors import LabError


@dataclass(frozen=True, eq=False)
class Ticket:
    """One question that waits: what is asked, for which place on the user's page, and where the answer goes."""

    request: Any
    slot: Hashable = None
    future: "Future[Any]" = field(default_factory=Future)


class FairQueue:
    """Tickets of any number of users. May be used from many threads."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[Ticket]] = OrderedDict()
        self._changed = threading.Condition()

    def put(self, user: str, request: Any, slot: Hashable = None) -> "Future[Any]":
        """Queue a request behind the user's own.

        One of the same user and slot that still waits is cancelled: it is out of date.
        """
        ticket = Ticket(request, slot)
        with self._changed:
            own = self._waiting.setdefault(user, deque())
            if slot is not None:
                for older in [waiting for waiting in own if waiting.slot == slot]:
                    older.future.cancel()
                    own.remove(older)
            own.append(ticket)
            self._changed.notify()
        return ticket.future

    def take(self) -> Ticket:
        """Return the next ticket, waited for: the oldest of the user whose last turn is longest ago.

        Cancelled ones are passed over.
        """
        with self._changed:
            while True:
                while self._waiting:
                    user, own = self._waiting.popitem(last=False)
                    ticket = own.popleft()
                    if own:
                        self._waiting[user] = own
                    if ticket.future.set_running_or_notify_cancel():
                        return ticket
                self._changed.wait()

    def clear(self) -> None:
        """Cancel everything that waits."""
        with self._changed:
            for own in self._waiting.values():
                for ticket in own:
                    ticket.future.cancel()
            self._waiting.clear()


def outcome(future: "Future[Any]") -> Any:
    """Wait for an answer.

    Raises:
        LabError: the request was answered with one, or cancelled.
    """
    try:
        return future.result()
    except CancelledError:
        raise LabError("You asked for something else meanwhile. Ask again if you still want this.") from None
