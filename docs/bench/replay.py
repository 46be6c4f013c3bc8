"""How fast recordings are replayed, in CPU time of one core.

    python -P docs/bench/replay.py RUNS.jsonl [CONFIGURATION.yaml …]

What is worked out once for all configurations (reading, counting, finding what tool calls need) is
timed apart from the calls themselves. Of several rounds the fastest of each recording counts.
"""

from __future__ import annotations

import sys
from time import process_time

from contextkit import replay

ROUNDS = 7


def main() -> None:
    """One line for the preparation, one a configuration."""
    provider = replay.find_provider("anthropic:claude-sonnet-4-6")
    started = process_time()
    recordings = replay.read(sys.argv[1]).recordings
    n_calls = sum(len(recording.calls) for recording in recordings)
    print(
        f"{len(recordings)} recordings, {n_calls} calls, read in {process_time() - started:.2f} s"
    )
    replayer = replay.Replayer(provider)
    started = process_time()
    for recording in recordings:
        replayer.prepare(recording)
    print(f"prepared in {process_time() - started:.2f} s")
    for setup in (replay.everything(), *map(replay.load_setup, sys.argv[2:])):
        fastest = dict.fromkeys(range(len(recordings)), float("inf"))
        tokens = 0
        with setup.manager(provider) as manager:
            for _ in range(ROUNDS):
                for index, recording in enumerate(recordings):
                    started = process_time()
                    outcome = replayer.run(recording, manager)
                    fastest[index] = min(fastest[index], process_time() - started)
                    tokens += sum(call.usage.input_tokens for call in outcome.calls)
        seconds = sum(fastest.values())
        print(
            f"{setup.name:20} {n_calls / seconds:7,.0f} calls/s, {seconds / n_calls * 1000:.2f} ms a "
            f"call of {tokens / n_calls / ROUNDS:,.0f} tokens"
        )


if __name__ == "__main__":
    main()
