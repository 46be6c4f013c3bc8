"""For every test: the fake provider, no network but loopback, hypothesis without deadlines."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["NO_PROXY"] = "127.0.0.1,localhost"

pytest_plugins = ["tests.fakes.plugin"]

settings.register_profile(
    "contextkit", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=False
)
settings.load_profile("contextkit")
