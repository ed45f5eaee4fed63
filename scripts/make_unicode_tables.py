#!/usr/bin/env python3
"""Makes chatserver/people/unicode_tables.txt from the files of the Unicode Character Database:

    scripts/make_unicode_tables.py FOLDER … > chatserver/people/unicode_tables.txt

The folders have, anywhere below them, confusables.txt (Unicode Technical Standard 39; on Debian in
the source package icu, `apt-get source icu`), emoji-data.txt, PropertyValueAliases.txt, Scripts.txt
and ScriptExtensions.txt (on Debian in /usr/share/unicode, package unicode-data).

Of the confusables only those are kept that can be in a name: names are normalized to NFKC, and
compared in NFD. The table's licence is beside it.
"""

import re
import sys
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from itertools import count
from pathlib import Path

FILES = (
    "confusables.txt",
    "emoji-data.txt",
    "PropertyValueAliases.txt",
    "Scripts.txt",
    "ScriptExtensions.txt",
)

EVERY_SCRIPT = {"Zyyy", "Zinh"}
"""Common and Inherited: characters that go with all scripts."""


def main(folders: list[str]) -> None:
    """Print the table."""
    found = {
        name: path
        for folder in folders
        for path in Path(folder).rglob("*.txt")
        for name in FILES
        if path.name == name
    }
    missing = set(FILES) - set(found)
    if not folders or missing:
        sys.exit(f"{__doc__}\nNot found: {', '.join(sorted(missing))}")
    texts = {name: path.read_text("utf-8-sig") for name, path in found.items()}
    version = re.search(r"Version: (\S+)", texts["confusables.txt"])
    assert version is not None
    print(f"# Made by scripts/make_unicode_tables.py; confusables of Unicode {version[1]}.")
    print("# © Unicode, Inc.; unicode_tables.LICENSE has the terms.")
    print("\n[emoji]")
    pictures = {code for code, (value,) in rows(texts["emoji-data.txt"]) if value == "Emoji"}
    print(spans(pictures))
    print("\n[scripts]")
    for scripts, codes in sorted(by_scripts(texts).items()):
        print(f"{scripts}: {spans(codes)}")
    print("\n[confusables]")
    for target, sources in sorted(confusables(texts["confusables.txt"]).items()):
        print(f"{target}: {spans(sources)}")


def rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Code points with the fields behind them."""
    for line in text.splitlines():
        codes, *fields = (field.strip() for field in line.partition("#")[0].split(";"))
        if fields:
            first, _, last = codes.partition("..")
            for code in range(int(first, 16), int(last or first, 16) + 1):
                yield code, fields


def by_scripts(texts: dict[str, str]) -> dict[str, set[int]]:
    """Code points by the short names of the scripts that they are used with."""
    short = {}
    for line in texts["PropertyValueAliases.txt"].splitlines():
        match line.partition("#")[0].replace(" ", "").split(";"):
            case ["sc", name, long_name, *_]:
                short[long_name] = name
    of = {code: short[script] for code, (script,) in rows(texts["Scripts.txt"])}
    of |= {code: scripts for code, (scripts,) in rows(texts["ScriptExtensions.txt"])}
    result = defaultdict(set)
    for code, scripts in of.items():
        if scripts not in EVERY_SCRIPT:
            result[scripts].add(code)
    return result


def confusables(text: str) -> dict[str, set[int]]:
    """Code points by what they look like."""
    result = defaultdict(set)
    for code, (target, _) in rows(text):
        if unicodedata.normalize("NFKD", chr(code)) == chr(code):
            result[target].add(code)
    return result


def spans(codes: set[int]) -> str:
    """Code points in hexadecimal, with neighbours as a span."""
    texts = []
    for first in sorted(code for code in codes if code - 1 not in codes):
        last = next(code for code in count(first) if code + 1 not in codes)
        texts.append(f"{first:X}" if first == last else f"{first:X}-{last:X}")
    return " ".join(texts)


if __name__ == "__main__":
    main(sys.argv[1:])
