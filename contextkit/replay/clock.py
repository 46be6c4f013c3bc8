"""When the calls of a recording were made: by its own times, else one every so many seconds."""

from __future__ import annotations

from contextkit.replay.recording import Recording


def moments(recording: Recording, cadence_s: float) -> tuple[list[float], list[str]]:
    """A moment for every call, never earlier than the one before, and what was wrong.

    A call without a time comes `cadence_s` after the one before. A clock that runs backwards is
    named, and taken as no gap.
    """
    times: list[float] = []
    notes: list[str] = []
    known: float | None = None
    for index, call in enumerate(recording.calls):
        before = times[-1] if times else 0.0
        if call.at is None:
            times.append(before + cadence_s if times else 0.0)
        elif known is None:
            times.append(call.at if not times else before + cadence_s)
        elif call.at < known:
            back = known - call.at
            notes.append(
                f"{recording.id}: the clock runs back by {back:,.1f} s before call {index + 1}; "
                "taken as no gap"
            )
            times.append(before)
        else:
            times.append(before + call.at - known)
        known = call.at if call.at is not None else known
    return times, notes
