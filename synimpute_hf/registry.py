"""Plugins: one file in a room makes one plugin, and its file name is its key. Third parties use entry points.

A room is a subpackage such as ``synimpute_hf.generators``; the entry-point group has the same name. Files that
begin with an underscore, and ``base``, are not plugins. Nothing is imported until it is asked for.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import metadata, resources
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from .errors import SynimputeError, nearest

__all__ = ["Settings", "load_plugin", "make_plugin", "parse_spec", "plugin_file", "plugin_names", "read_settings"]

PACKAGE = "synimpute_hf"


@dataclass(frozen=True)
class Settings:
    """Base of a plugin's settings: a frozen dataclass whose fields are the options a user may write."""


S = TypeVar("S", bound=Settings)


def read_settings(who: str, settings_class: type[S], options: Mapping[str, Any], error: type[SynimputeError]) -> S:
    """Read a plugin's options into its settings.

    Args:
        who: the plugin, as messages call it, such as ``classifier 'linear'``.
        settings_class: dataclass of the options that it takes.
        options: by name; strings are converted.
        error: the exception to raise when an option is unknown or of a wrong type.
    """
    known = [field.name for field in fields(settings_class)]
    for name in options:
        if name not in known:
            raise error(
                f"The {who} takes no option {name!r}. It takes: {', '.join(known) or 'none'}.{nearest(name, known)}"
            )
    try:
        return TypeAdapter(settings_class).validate_python(dict(options))
    except ValidationError as problem:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in problem.errors())
        raise error(f"The {who}: {problems}.") from problem


def _files(room: str, suffix: str) -> dict[str, Any]:
    found = {}
    for entry in resources.files(PACKAGE).joinpath(room).iterdir():
        name = entry.name.removesuffix(suffix)
        if entry.name.endswith(suffix) and not name.startswith("_") and name != "base":
            found[name] = entry
    return found


def _entry_points(room: str) -> dict[str, metadata.EntryPoint]:
    return {point.name: point for point in metadata.entry_points(group=f"{PACKAGE}.{room}")}


def plugin_names(room: str, suffix: str = ".py") -> list[str]:
    """Return the sorted keys of a room's plugins, built in and from entry points."""
    return sorted({*_files(room, suffix), *_entry_points(room)})


def plugin_file(room: str, name: str, suffix: str) -> Any:
    """Return a data plugin (a prompt) as a readable path, or None when there is none of that name."""
    found = _files(room, suffix).get(name)
    if found is None and name in _entry_points(room):
        return _entry_points(room)[name].load()
    return found


def load_plugin(room: str, name: str, error: type[SynimputeError]) -> Any:
    """Return the class that a plugin file names in ``PLUGIN``, or that an entry point loads.

    Args:
        room: subpackage, such as ``generators``.
        name: the plugin's key.
        error: the exception to raise when there is no such plugin.
    """
    if name in _files(room, ".py"):
        return importlib.import_module(f"{PACKAGE}.{room}.{name}").PLUGIN
    points = _entry_points(room)
    if name in points:
        return points[name].load()
    names = plugin_names(room)
    raise error(f"There is no {room.rstrip('s')} {name!r}. There are: {', '.join(names)}.{nearest(name, names)}")


def make_plugin(room: str, spec: str, error: type[SynimputeError], options: Mapping[str, Any], *more: Any) -> Any:
    """Make the plugin that a spec names, by its class's ``from_options``.

    Args:
        room: subpackage, such as ``generators``.
        spec: see ``parse_spec``.
        error: the exception to raise when there is no such plugin.
        options: further options, which those of the spec go before; those that are None are left out.
        *more: what else the room's plugins are made with.
    """
    name, argument, written = parse_spec(spec)
    given = {key: value for key, value in options.items() if value is not None}
    return load_plugin(room, name, error).from_options(argument, {**given, **written}, *more)


def parse_spec(spec: str) -> tuple[str, str, dict[str, str]]:
    """Split ``name:argument,key=value,…`` into its parts.

    >>> parse_spec("transformers:Qwen/Qwen3-0.6B,batch_size=8")
    ('transformers', 'Qwen/Qwen3-0.6B', {'batch_size': '8'})
    >>> parse_spec("echo:delay=0.1")
    ('echo', '', {'delay': '0.1'})
    >>> parse_spec("eda,alpha=0.1")
    ('eda', '', {'alpha': '0.1'})
    """
    match = re.match(r"([^:,]*)[:,]?(.*)$", spec, re.DOTALL)
    name, rest = match.groups() if match else (spec, "")
    argument, options = "", {}
    for index, part in enumerate(re.split(r",(?=[A-Za-z_]\w*=)", rest)):
        option = re.match(r"([A-Za-z_]\w*)=(.*)$", part, re.DOTALL)
        if option:
            options[option[1]] = option[2]
        elif index == 0:
            argument = part
    return name.strip(), argument, options
