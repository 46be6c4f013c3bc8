"""Tests of the adapters whose frameworks clash with the others: each in a virtual environment of its own.

    python tests/adapters/apart/run.py [NAME …] [-- PYTEST ARGUMENT …]

`make test-adapters` runs all of them. Environments are kept under `.venv-adapters/`.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[3]
COMMON = ("hypothesis", "pytest", "starlette", "uvicorn")
APART = {
    "langchain": ("langgraph", "langchain-openai"),
    "litellm": (),
    "llama-index": ("llama-index-llms-anthropic", "anthropic<1", "llama-index-llms-openai"),
    "google-adk": ("openai", "anthropic"),
    "strands": ("openai", "anthropic"),
    "autogen": ("autogen-agentchat", "autogen-ext[openai]"),
}
"""What the tests of each need beside the extra of the same name."""


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
    install(python, ["-e", f".[{name}]", *COMMON, *APART[name]])
    test = f"tests/adapters/apart/test_{name.replace('-', '_')}.py"
    # Warnings of frameworks that are pinned by others are theirs; the rest of the suite has them as errors.
    options = ["-m", "not slow", "-o", "filterwarnings=default", "--disable-warnings"]
    return run([str(python), "-m", "pytest", *options, test, *more])


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
