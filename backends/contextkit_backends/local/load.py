"""From a model's name to its folder, its limits and its weights.

Nothing is fetched, and no code of a checkpoint is run, unless the configuration says so; weights
are read from safetensors only, because unpickling a checkpoint runs whatever it says.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from contextkit.errors import ConfigError
from contextkit.native import multiplies_bfloat16

SHIPPED = Path(__file__).parent / "models"
_WANTED_FILES = ("*.json", "*.safetensors", "*.jinja", "*.model")
_WINDOW_KEYS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length")


def require(module: str) -> Any:
    """The module, imported now; ConfigError names the extra where it is missing."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        missing = error.name or module
        raise ConfigError(
            f'backend local: {missing} is not installed; pip install "contextkit[local]"'
        ) from error


def find_folder(model: str, *, allow_download: bool = False) -> Path:
    """The folder of a shipped model, of a path, or of a Hugging Face name in the local cache.

    Raises ConfigError with what would have worked; the network is used with `allow_download` only.
    """
    for folder in (SHIPPED / model, Path(model).expanduser()):
        if (folder / "config.json").is_file():
            return folder
    if Path(model).expanduser().is_dir():
        raise ConfigError(f"model: the folder {model} has no config.json, so it is no checkpoint")
    if model.count("/") != 1 or model.startswith((".", "/", "~")):
        raise ConfigError(
            f"model: {model!r} is not shipped ({', '.join(shipped())}), no folder, "
            "and no Hugging Face name (owner/name)"
        )
    return _find_in_hub(model, allow_download)


def display_name(model: str, folder: Path) -> str:
    """What to call a model: its own name, without where its folder lies."""
    in_hub = model.count("/") == 1 and not Path(model).expanduser().is_dir()
    return model if in_hub else folder.name


def shipped() -> list[str]:
    """The names of the models that come with this package."""
    return sorted(entry.parent.name for entry in SHIPPED.glob("*/config.json"))


def _find_in_hub(name: str, allow_download: bool) -> Path:
    hub = require("huggingface_hub")
    errors = require("huggingface_hub.errors")
    try:
        folder = hub.snapshot_download(
            name, allow_patterns=list(_WANTED_FILES), local_files_only=not allow_download
        )
    except errors.LocalEntryNotFoundError as error:
        raise ConfigError(
            f"model: {name} is not in the local Hugging Face cache, and fetching is off; set "
            f"allow_download: true, or run `hf download {name}` once"
        ) from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"model: {name} could not be fetched: {error}") from error
    if not (Path(folder) / "config.json").is_file():
        raise ConfigError(f"model: the cached copy of {name} is incomplete (no config.json)")
    return Path(folder)


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty where there is no such file."""
    if not path.is_file():
        return {}
    try:
        value: Any = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"model: {path.name} is not JSON: {error}") from error
    return table(value)


def table(value: Any) -> dict[str, Any]:
    """A JSON object as it is, anything else as an empty one."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def full_config(folder: Path) -> dict[str, Any]:
    """config.json with the defaults of its model type, where transformers is installed and knows it."""
    written = read_json(folder / "config.json")
    try:
        transformers = importlib.import_module("transformers")
        found: dict[str, Any] = transformers.AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        ).to_dict()
    except (ImportError, OSError, ValueError, KeyError):
        return written
    return found


def context_window(config: Mapping[str, Any]) -> int | None:
    """Tokens of input and output together that the checkpoint was made for, or None."""
    for entries in (config, table(config.get("text_config"))):
        for key in _WINDOW_KEYS:
            if isinstance(entries.get(key), int):
                return int(entries[key])
    return None


def eos_ids(folder: Path) -> frozenset[int]:
    """The tokens that end a reply, from generation_config.json or else config.json."""
    for name in ("generation_config.json", "config.json"):
        found: Any = read_json(folder / name).get("eos_token_id")
        if isinstance(found, int):
            return frozenset({found})
        if found:
            return frozenset(int(token) for token in found)
    return frozenset()


def load_model(folder: Path, *, device: str, dtype: str, trust_remote_code: bool) -> Any:
    """The causal language model of a folder, in evaluation mode on its device.

    `device` auto: the first GPU, or else the CPU. `dtype` auto: bfloat16 on a GPU (float16 where it
    has none), float32 on a CPU.
    """
    _check_weights(folder)
    torch, transformers = require("torch"), require("transformers")
    broken = require("safetensors").SafetensorError
    device = checked_device(device)
    try:
        with _no_progress_bar(transformers.utils.logging):
            model = transformers.AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=_dtype(torch, device, dtype),
                trust_remote_code=trust_remote_code,
                local_files_only=True,
                use_safetensors=True,
            )
        return model.to(device).eval()
    except (OSError, ValueError, KeyError, RuntimeError, broken) as error:
        raise ConfigError(f"model: {folder.name} could not be loaded: {error}") from error


@contextmanager
def _no_progress_bar(logging: Any) -> Generator[None]:
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _check_weights(folder: Path) -> None:
    if any(folder.glob("*.safetensors")):
        return
    pickled = [*folder.glob("*.bin"), *folder.glob("*.pt"), *folder.glob("*.pth")]
    found = f"only {pickled[0].name}, a pickle, and unpickling runs code" if pickled else "none"
    raise ConfigError(
        f"model: {folder.name} must have its weights as *.safetensors; found {found}. "
        "Convert it with transformers' save_pretrained"
    )


def checked_device(name: str) -> str:
    """A device that there is: `auto` is the first GPU, or else the CPU. ConfigError for any other."""
    torch = require("torch")
    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return "cuda" if n_gpus else "cpu"
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError) as error:
        raise ConfigError(f"device: {name!r} is none of auto, cpu, cuda, cuda:0 …") from error
    if device.type == "cuda" and (device.index or 0) >= n_gpus:
        raise ConfigError(
            f"device: {name!r} is not there: torch {torch.__version__} sees {n_gpus} CUDA devices; "
            "take 'auto' or 'cpu', or install a build of torch for this GPU"
        )
    return name


def torch_dtype(name: str) -> Any:
    """The dtype of that name; ConfigError names those that there are."""
    torch = require("torch")
    found = getattr(torch, name, None)
    if not isinstance(found, torch.dtype):
        raise ConfigError(f"dtype: {name!r} is none of auto, float32, bfloat16, float16")
    return found


def quick_dtype(device: str) -> str:
    """bfloat16 on a CPU that multiplies it natively, or else `auto`.

    For what is compared, not said, its precision is enough.
    """
    native = multiplies_bfloat16(require("torch"))
    return "bfloat16" if native and checked_device(device) == "cpu" else "auto"


def _dtype(torch: Any, device: str, dtype: str) -> Any:
    if dtype != "auto":
        return torch_dtype(dtype)
    if device.startswith("cuda"):
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.float32
