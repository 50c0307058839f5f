"""A ``.nemo`` file: a tar archive of a configuration, weights and a tokenizer, unpacked and read as data."""

from __future__ import annotations

import contextlib
import re
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Generator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, cast

from isocortex.errors import DataError
from isocortex.files import check_space
from isocortex_nemo.targets import refuse_foreign

CONFIG, WEIGHTS = "model_config.yaml", "model_weights.ckpt"
#: a configuration with three vocabularies of 8,192 pieces has 0.7 MB
MAX_CONFIG_BYTES = 2 << 20
#: values of a configuration, once what is shared counts wherever it stands
MAX_VALUES = 500_000
#: what a compressed byte can become; weights hardly shrink
_MOST_PER_BYTE = 20
MAX_MEMBERS = 10_000
_DAMAGED = (tarfile.TarError, EOFError, OSError, ValueError, zlib.error)
_FLOAT = re.compile(
    r"[-+]?(?:[0-9][0-9_]*)\.[0-9_]*(?:[eE][-+]?[0-9]+)?$|[-+]?(?:[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)$"
    r"|\.[0-9_]+(?:[eE][-+][0-9]+)?$|[-+]?\.(?:inf|Inf|INF)$|\.(?:nan|NaN|NAN)$"
)


@contextlib.contextmanager
def unpacked(path: Path) -> Generator[Path]:
    """The folder with what a ``.nemo`` file holds, for as long as it is needed.

    Raises
    ------
    DataError
        The file is absent, cut short, no archive, or has members that are links, devices or outside of its folder, or
        more than an archive of its size can hold.
    StoreError
        There is no room to unpack it.
    """
    if not path.is_file():
        raise DataError(f"There is no .nemo file at {path}.")
    with tempfile.TemporaryDirectory(prefix="isocortex-nemo-") as folder:
        try:
            with tarfile.open(path, "r:*") as archive:
                _unpack(archive, path, Path(folder))
        except _DAMAGED as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise DataError(f"{path} is cut short or no .nemo file ({reason}). Fetch it again.") from error
        for name in (CONFIG, WEIGHTS):
            if not (Path(folder) / name).is_file():
                raise DataError(f"{path} holds no {name}, which every .nemo file has. Fetch it again.")
        yield Path(folder)


def _unpack(archive: tarfile.TarFile, path: Path, folder: Path) -> None:
    limit, n_bytes = path.stat().st_size * _MOST_PER_BYTE + (1 << 20), 0
    members: list[tuple[tarfile.TarInfo, str]] = []
    for member in archive:
        n_bytes += member.size
        if n_bytes > limit or len(members) >= MAX_MEMBERS:
            raise DataError(f"{path} holds more than an archive of its size can: it was made to fill a disk.")
        if not member.isdir():
            members.append((member, _safe_name(member, path)))
    check_space(folder, n_bytes, f"Unpacking {path.name}")
    for member, name in members:
        source = archive.extractfile(member)
        assert source is not None, "regular files alone are kept above"
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
        if target.stat().st_size != member.size:
            raise DataError(f"{path} is cut short: {name} has fewer bytes than it announces. Fetch it again.")


def _safe_name(member: tarfile.TarInfo, path: Path) -> str:
    name = PurePosixPath(member.name.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts or ":" in str(name):
        raise DataError(f"{path} holds {member.name!r}, which lies outside its folder. Nothing was unpacked.")
    if not member.isreg():
        raise DataError(f"{path} holds {member.name!r}, which is a link or a device. Nothing was unpacked.")
    return str(name)


def read_config(folder: Path, where: Path) -> dict[str, Any]:
    """The configuration in an unpacked ``.nemo`` file, as plain values, after a look at all that it names.

    Raises
    ------
    DataError
        It is no mapping, is too large, or names what is not NeMo's.
    """
    path = folder / CONFIG
    if path.stat().st_size > MAX_CONFIG_BYTES:
        raise DataError(f"{where} has a configuration of more than {MAX_CONFIG_BYTES} bytes; none is so large.")
    try:
        config = _read_yaml(path.read_text(encoding="utf-8"))
        refuse_knots(config)
    except (ValueError, RecursionError) as error:  # yaml's own errors are made ValueErrors below
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{where} has a configuration that cannot be read ({reason}).") from error
    if not isinstance(config, dict):
        raise DataError(f"{where} has a configuration that is a {type(config).__name__}; expected a mapping.")
    values = cast("dict[str, Any]", config)
    model = values.get("model")
    whole = cast("dict[str, Any]", model) if isinstance(model, dict) else values
    refuse_foreign(whole, str(where))
    return whole


def _read_yaml(text: str) -> Any:
    """Plain YAML with the numbers of OmegaConf: ``1e-5`` is one."""
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    loader: Any = type("ConfigLoader", (base,), {})
    resolvers = {first: list(pairs) for first, pairs in base.yaml_implicit_resolvers.items()}
    plain = {
        first: [pair for pair in pairs if pair[0] not in ("tag:yaml.org,2002:float", "tag:yaml.org,2002:timestamp")]
        for first, pairs in resolvers.items()
    }
    loader.yaml_implicit_resolvers = plain
    loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))
    try:
        return yaml.load(text, Loader=loader)  # noqa: S506 - a subclass of the safe loader
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def refuse_knots(value: object) -> None:
    """Refuse what holds itself, or is more than a configuration once shared parts count wherever they stand.

    Raises
    ------
    ValueError
        It is one of these.
    """
    sizes: dict[int, int] = {}

    def size(part: object, above: frozenset[int]) -> int:
        if not isinstance(part, dict | list):
            return 1
        if id(part) in above:
            raise ValueError("it contains itself")
        if id(part) not in sizes:
            inside: Any = cast("dict[Any, Any]", part).values() if isinstance(part, dict) else part
            sizes[id(part)] = 1 + sum(size(inner, above | {id(part)}) for inner in inside)
            if sizes[id(part)] > MAX_VALUES:
                raise ValueError(f"it holds more than {MAX_VALUES} values")
        return sizes[id(part)]

    size(value, frozenset())


def facts_of(config: Mapping[str, Any]) -> dict[str, int | str]:
    """What a configuration says of its network: class, layers, width, mel bands, vocabulary; what is absent is not."""
    encoder, preprocessor = _part(config, "encoder"), _part(config, "preprocessor")
    jasper = encoder.get("jasper")
    layers = len(cast("list[Any]", jasper)) if isinstance(jasper, list) else encoder.get("n_layers")
    found = {
        "class": str(config.get("target", "")).rpartition(".")[2] or None,
        "layers": layers,
        "width": encoder.get("d_model"),
        "mel_bands": preprocessor.get("features"),
        "vocabulary": _vocabulary(config),
    }
    return {name: value for name, value in found.items() if isinstance(value, int | str)}


def _part(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = config.get(name)
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _vocabulary(config: Mapping[str, Any]) -> int | None:
    """Outputs of the head: of a joint network with its blank and its durations, of a CTC head with its blank."""
    joint, decoder, head = _part(config, "joint"), _part(config, "decoder"), _part(config, "head")
    if isinstance(head.get("num_classes"), int):
        return head["num_classes"]
    n_classes = joint.get("num_classes") if joint else decoder.get("num_classes")
    if not isinstance(n_classes, int) or n_classes < 0:
        vocabulary = (joint or decoder).get("vocabulary")
        if not isinstance(vocabulary, list) or not vocabulary:
            return None
        n_classes = len(cast("list[Any]", vocabulary))
    return n_classes + 1 + int(joint.get("num_extra_outputs") or 0)
