"""The local engine: a model over paged keys and values, with sinks, shared prefixes and quantised pages."""

from contextkit_backends.local.engine.engine import Engine
from contextkit_backends.local.engine.settings import EngineSettings
from contextkit_backends.local.engine.stats import EngineStats
from contextkit_backends.local.engine.stream import Stream

__all__ = ["Engine", "EngineSettings", "EngineStats", "Stream"]
