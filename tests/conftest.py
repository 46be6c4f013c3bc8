"""For every test: the fake provider, no network but loopback, hypothesis without deadlines."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import HealthCheck, settings

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["NO_PROXY"] = "127.0.0.1,localhost"
# Triton decides when it is first imported, by whichever test, whether it interprets.
if not Path("/dev/nvidiactl").exists():
    os.environ.setdefault("TRITON_INTERPRET", "1")

pytest_plugins = ["tests.fakes.plugin"]

settings.register_profile(
    "contextkit", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=False
)
settings.load_profile("contextkit")
