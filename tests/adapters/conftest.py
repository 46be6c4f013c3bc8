from tests.fakes.plugin import provider, running_provider

__all__ = ["provider", "running_provider"]
