"""Templates to one self-contained HTML file: everything is escaped, and by its policy nothing else runs or loads."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from isocortex.errors import printable

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


def render(template: str, *, script: str, style: str, media: bool = False, **content: Any) -> str:
    """Fill a template.

    Parameters
    ----------
    template
        Its name.
    script, style
        Names of files in ``static``; they become part of the file.
    media
        Whether files beside the page may be shown and played.
    content
        What the template shows.
    """
    from markupsafe import Markup

    code = _static(script)
    return (
        _environment()
        .get_template(template)
        .render(
            script=Markup(code),  # noqa: S704 - our own files
            style=Markup(_static(style)),  # noqa: S704
            policy=policy_for(code, media=media),
            **content,
        )
    )


def policy_for(script: str, *, media: bool = False) -> str:
    """What a browser may do: run this script and no other, show what is in the file, and ask for nothing.

    Examples
    --------
    >>> "default-src 'none'" in policy_for("")
    True
    """
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    beside = " 'self' file:" if media else ""
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:{beside}; "
        f"media-src data:{beside}; base-uri 'none'; form-action 'none'"
    )


@cache
def _static(name: str) -> str:
    """A file of the package; several, joined by "+"."""
    folder = files("isocortex_report.page") / "static"
    return "\n".join((folder / part).read_text(encoding="utf-8") for part in name.split("+"))


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from isocortex_report.page.contents import number

    made = Environment(
        loader=PackageLoader("isocortex_report.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"name": name, "plain": plain, "number": number, "variantless": variantless}
    return made


def plain(text: object) -> str:
    """A text without controls and credentials; the template escapes it.

    Examples
    --------
    >>> plain("a\\x00b")
    'a\\\\x00b'
    """
    return printable(str(text))


def name(text: object) -> Markup:
    """A name that somebody gave, set apart so that its direction of writing does not turn what is around it.

    A line may end behind a hyphen, a dot and the like.

    Examples
    --------
    >>> name("<b>"), name("a_b")
    (Markup('<bdi>&lt;b&gt;</bdi>'), Markup('<bdi>a_<wbr>b</bdi>'))
    """
    from markupsafe import Markup

    parts = re.split(r"(?<=[_./])(?=[^_./])", plain(text))
    return Markup("<bdi>{}</bdi>").format(Markup("<wbr>").join(parts))


def variantless(full_name: str) -> str:
    """A name of the grid without a variant that goes without saying.

    Examples
    --------
    >>> variantless("pixels@fixed"), variantless("noise@random")
    ('pixels', 'noise@random')
    """
    model, _, variant = full_name.rpartition("@")
    return model if variant in ("fixed", "pretrained") else full_name
