"""Tests of what clashes with the rest, frameworks and peers: each in a virtual environment of its own.

    python tests/adapters/apart/run.py [NAME …] [-- PYTEST ARGUMENT …]

`make test-adapters` runs all of them. Environments are kept under `.venv-adapters/`.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
COMMON = ("hypothesis", "pytest", "starlette", "uvicorn")
CONFORMANCE = ("tests/conformance/test_peers.py", "tests/conformance/test_reported.py")


@dataclass(frozen=True)
class Apart:
    """An environment: what is installed beside COMMON, and what pytest is given there."""

    needs: tuple[str, ...]
    tests: tuple[str, ...]


def adapter(name: str, *needs: str, also: tuple[str, ...] = ()) -> Apart:
    """The environment of an adapter: the extra of its name and its own tests."""
    test = f"tests/adapters/apart/test_{name.replace('-', '_')}.py"
    return Apart(("-e", f".[{name}]", *needs), (test, *also))


APART = {
    "langchain": adapter("langchain", "langgraph", "langchain-openai"),
    "litellm": adapter("litellm"),
    "llama-index": adapter(
        "llama-index", "llama-index-llms-anthropic", "anthropic<1", "llama-index-llms-openai"
    ),
    "google-adk": adapter("google-adk", "openai", "anthropic"),
    "strands": adapter("strands", "openai", "anthropic"),
    "autogen": adapter(
        "autogen",
        "autogen-agentchat",
        "autogen-ext[openai]",
        also=("tests/adapters/apart/test_autogen_threads.py", *CONFORMANCE, "-k", "autogen"),
    ),
    "harness": Apart(
        ("-e", ".", "pydantic-ai-harness==0.62.0"),
        (*CONFORMANCE, "-k", "pydantic", "-m", "slow or not slow"),
    ),
}


def main(arguments: list[str]) -> int:
    """Run the named environments' tests, all without a name; the number of those that failed."""
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    names, more = arguments[:cut] or list(APART), arguments[cut + 1 :]
    unknown = [name for name in names if name not in APART]
    if unknown:
        print(f"{', '.join(unknown)}: unknown; there are {', '.join(APART)}")
        return 2
    failed = [name for name in names if not passes(name, more)]
    if failed:
        print(f"failed: {', '.join(failed)}")
    return len(failed)


def passes(name: str, more: list[str]) -> bool:
    """Make the environment where there is none, bring it up to date, run its tests."""
    python = ROOT / ".venv-adapters" / name / "bin" / "python"
    if not python.exists():
        venv.create(python.parents[1], with_pip=True)
    install(python, [*APART[name].needs, *COMMON])
    # Warnings of frameworks that are pinned by others are theirs; the rest of the suite has them as errors.
    options = ["-m", "not slow", "-o", "filterwarnings=default", "--disable-warnings"]
    return run([str(python), "-m", "pytest", *options, *APART[name].tests, *more])


def install(python: Path, wanted: list[str]) -> None:
    """By uv where this interpreter has it, else by pip."""
    uv = [sys.executable, "-m", "uv"]
    has_uv = not subprocess.run([*uv, "--version"], capture_output=True, check=False).returncode
    how = (
        [*uv, "pip", "install", "--python", str(python)]
        if has_uv
        else [str(python), "-m", "pip", "install"]
    )
    if not run([*how, "--quiet", *wanted]):
        raise SystemExit(f"{python.parents[1].name}: could not be installed")


def run(command: list[str]) -> bool:
    """Whether the command succeeds, from the root of the project."""
    return not subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
