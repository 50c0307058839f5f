"""Settings of a metric: checked against its model, and with the defaults of those that are not given."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from isocortex.catalogue.cards import MetricCard
from isocortex.errors import PluginError, SettingsError, suggest
from isocortex.files.digests import jsonable

_Schema = TypeVar("_Schema", bound=BaseModel)


def check_settings(schema: type[_Schema], settings: Mapping[str, object], metric: str) -> _Schema:
    """Check the settings of a metric against its pydantic schema (which should forbid extra keys).

    Raises
    ------
    SettingsError
        An unknown key or a value out of range; the message names the closest key.

    Examples
    --------
    >>> from pydantic import BaseModel
    >>> class Settings(BaseModel, extra="forbid"):
    ...     n_folds: int = 5
    >>> check_settings(Settings, {"n_folds": 3}, "ridge").n_folds
    3
    """
    known = list(schema.model_fields)
    for name in settings:
        if name not in known:
            raise SettingsError(f"{metric} has no setting {name!r}.{suggest(name, known)} It has {', '.join(known)}.")
    try:
        return schema.model_validate(dict(settings))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise SettingsError(f"Settings of {metric} are not valid: {problems}.") from error


def settings_in_full(card: MetricCard, settings: Mapping[str, object]) -> dict[str, Any]:
    """Settings of a metric with the defaults of those that are not given, as JSON; as they are without a model of them.

    Raises
    ------
    SettingsError
        Settings that are not valid.
    PluginError
        ``settings_model`` of the card names nothing that can be imported.

    Examples
    --------
    >>> settings_in_full(MetricCard(id="mine", object="mine:Metric"), {"n_folds": 3})
    {'n_folds': 3}
    """
    if not card.settings_model:
        return jsonable(dict(settings))
    return check_settings(named_object(card, card.settings_model), settings, card.id).model_dump(mode="json")


def named_object(card: MetricCard, name: str) -> Any:
    """What ``module:NAME`` in a row of the manifest stands for.

    Raises
    ------
    PluginError
        It cannot be imported, or is not there.
    """
    module, _, attribute = name.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise PluginError(f"metric {card.id!r} of {card.package}: {name!r} cannot be found ({error}).") from error
