"""Commands of plugins: one word or two, shared first words, and names that two packages want."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from core.tests.conftest import Typed
from tests.third_party.install import write_package

CODE = '''
import click

@click.command()
@click.argument("what", nargs=-1)
@click.option("--loud", is_flag=True)
def say(what, loud):
    """Say it."""
    print("SAID", *what, loud)
'''

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a package with commands of these names; its modules are forgotten afterwards."""
    site = tmp_path / "site"
    monkeypatch.syspath_prepend(str(site))

    def install(package: str, names: Sequence[str]) -> None:
        module = package.replace("-", "_")
        rows = "".join(
            f'[[command]]\nname = "{name}"\nobject = "{module}.commands:say"\nhelp = "Says {name}."\n' for name in names
        )
        write_package(
            site, package, {"__init__.py": "", "commands.py": CODE, "isocortex.toml": f"[plugin]\napi = 1\n{rows}"}
        )

    yield install
    for name in [name for name in sys.modules if name.startswith("iso_")]:
        del sys.modules[name]


def test_packages_share_the_first_of_two_words(install: Install, typed: Typed) -> None:
    install("iso-one", ["bring shells", "sing"])
    install("iso-two", ["bring songs"])
    assert typed("bring", "shells", "a", "--loud").out == "SAID a True\n"
    assert typed("bring", "songs").out == "SAID False\n"
    assert typed("sing", "b").out == "SAID b False\n"
    shown = typed("bring", "--help").out
    assert "Says bring shells." in shown
    assert "Says bring songs." in shown
    assert "Commands of iso-one, iso-two." in shown
    assert "Usage: isocortex bring songs [OPTIONS]" in typed("bring", "songs", "--help").out
    wrong = typed("bring", "shels")
    assert (wrong.code, "No such command 'shels'" in wrong.err) == (2, True)


def test_the_first_word_of_several_is_listed_once(install: Install, typed: Typed) -> None:
    install("iso-one", ["bring shells", "bring songs", "sing"])
    words = [line.split()[0] for line in typed("--help").out.splitlines() if line.startswith("  ") and line.split()]
    assert words.count("bring") == 1
    assert words.count("sing") == 1


@pytest.mark.parametrize(
    ("first", "second", "command"),
    [
        ("sing", "sing", ("sing",)),
        ("bring songs", "bring songs", ("bring", "songs")),
        ("bring", "bring songs", ("bring", "songs")),
    ],
)
def test_two_packages_that_want_one_name_are_told(
    install: Install, typed: Typed, first: str, second: str, command: tuple[str, ...]
) -> None:
    install("iso-one", [first])
    install("iso-two", [second])
    done = typed(*command)
    assert done.code == 2
    assert f"{first!r} of iso-one and {second!r} of iso-two are installed" in done.err
    assert typed("--help").code == 0
    assert typed("list", "plugins").code == 0


def test_a_command_of_core_comes_first(install: Install, typed: Typed) -> None:
    install("iso-one", ["list", "score twice"])
    assert typed("list", "plugins").out.startswith("plugins (")
    assert "SAID" not in typed("score", "twice").out


@pytest.mark.parametrize("name", ["Two Words", "one two three", "../x", "-m", "bring  songs"])
def test_names_that_cannot_be_typed_are_no_commands(install: Install, typed: Typed, name: str) -> None:
    install("iso-one", [name, "sing"])
    done = typed("check", "iso-one")
    assert done.code == 1
    assert "name: String should match pattern" in done.out
    assert typed("sing").out == "SAID False\n"
