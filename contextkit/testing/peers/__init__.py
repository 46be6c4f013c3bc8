"""Trimmers and memories of other packages as subjects, set up the way their documentation begins.

    contextkit conform peer:langchain-trim

A peer is imported when it is asked for. The system prompt stays outside where the package keeps it outside,
and its tokens are taken off the budget; summaries are written by a stand-in.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from contextkit.errors import ConfigError
from contextkit.testing.peers.base import Peer
from contextkit.testing.subjects import Subject

HOMES = ("langchain", "llama_index", "agent_framework", "pydantic_harness", "autogen")


def peers() -> list[Peer]:
    """All peers that are known, whether their package is there or not."""
    found: list[Peer] = []
    for home in HOMES:
        found += import_module(f"contextkit.testing.peers.{home}").PEERS
    return found


def installed() -> list[Subject]:
    """The peers whose package is there."""
    return [as_subject(peer) for peer in peers() if is_installed(peer)]


def is_installed(peer: Peer) -> bool:
    """Whether the package of a peer can be imported."""
    return find_spec(peer.module) is not None


def find_peer(name: str) -> Subject:
    """The peer of that name. Raises `ConfigError` where it is unknown or its package is missing."""
    known = {peer.name: peer for peer in peers()}
    if name not in known:
        raise ConfigError(f"subject: no peer {name!r}; there are {', '.join(sorted(known))}")
    peer = known[name]
    if not is_installed(peer):
        raise ConfigError(f"subject: peer:{name} needs {peer.package}; pip install {peer.package}")
    return as_subject(peer)


def as_subject(peer: Peer) -> Subject:
    """A peer with the version that is installed."""
    try:
        release = f"{peer.package} {version(peer.package)}"
    except PackageNotFoundError:
        release = peer.package
    return Subject(f"peer:{peer.name}", peer.make, release)
