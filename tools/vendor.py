"""Copies the browser files that pages use from node_modules into static/vendor, with licences.

Run it after a change of package.json; the copies and `vendor.lock.json` (package, version,
SHA-256 of every file) are committed, so that a browser never asks another host for anything.
`--check` changes nothing and fails where a copy differs from what it would write.
"""

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
MODULES: Final = ROOT / "node_modules"
TARGET: Final = ROOT / "static" / "vendor"
_SOURCE_MAP: Final = re.compile(rb"\n?//# sourceMappingURL=.*\s*$")

# package -> [(file in the package, file in static/vendor)]
FILES: Final[dict[str, list[tuple[str, str]]]] = {
    "lightweight-charts": [
        (
            "dist/lightweight-charts.standalone.production.mjs",
            "lightweight-charts/lightweight-charts.js",
        ),
        ("LICENSE", "lightweight-charts/LICENSE"),
    ],
    "uplot": [
        ("dist/uPlot.iife.min.js", "uplot/uPlot.js"),
        ("dist/uPlot.min.css", "uplot/uPlot.css"),
        ("LICENSE", "uplot/LICENSE"),
    ],
    "blo": [
        *(
            (f"dist/esm/{name}.js", f"blo/{name}.js")
            for name in ("index", "image", "random", "svg")
        ),
        ("LICENSE", "blo/LICENSE"),
    ],
    "tinykeys": [
        ("dist/tinykeys.module.js", "tinykeys/tinykeys.js"),
        ("LICENSE", "tinykeys/LICENSE"),
    ],
    "@fontsource-variable/inter": [
        ("files/inter-latin-wght-normal.woff2", "inter/inter-latin-wght-normal.woff2"),
        ("LICENSE", "inter/LICENSE"),
    ],
    "@fontsource-variable/jetbrains-mono": [
        (
            "files/jetbrains-mono-latin-wght-normal.woff2",
            "jetbrains-mono/jetbrains-mono-latin-wght-normal.woff2",
        ),
        ("LICENSE", "jetbrains-mono/LICENSE"),
    ],
    "lucide-static": [("LICENSE", "lucide/LICENSE")],
}
NOTICES: Final = {
    "lightweight-charts/NOTICE": (
        "TradingView Lightweight Charts™\n"
        "Copyright (c) 2026 TradingView, Inc. https://www.tradingview.com/\n"
    ),
}
ICONS: Final = [
    "activity",
    "archive",
    "arrow-down",
    "arrow-down-right",
    "arrow-down-to-line",
    "arrow-right",
    "arrow-up",
    "arrow-up-right",
    "ban",
    "bell",
    "book-open",
    "bot",
    "check",
    "chevron-right",
    "circle-alert",
    "circle-check",
    "circle-help",
    "circle-x",
    "clock",
    "copy",
    "cpu",
    "database",
    "external-link",
    "eye",
    "file-code",
    "file-text",
    "filter",
    "fuel",
    "gauge",
    "hand-coins",
    "history",
    "info",
    "keyboard",
    "landmark",
    "layers",
    "layout-dashboard",
    "line-chart",
    "list",
    "log-out",
    "menu",
    "octagon-x",
    "pause",
    "play",
    "plus",
    "power",
    "qr-code",
    "radio",
    "refresh-cw",
    "rotate-ccw",
    "search",
    "settings",
    "shield",
    "shield-check",
    "snowflake",
    "square",
    "target",
    "triangle-alert",
    "user",
    "vault",
    "wallet",
    "wifi",
    "wifi-off",
    "wrench",
    "x",
    "zap",
]


def main() -> int:
    """Write, or with ``--check`` compare. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing, fail on a difference")
    check = parser.parse_args().check
    if not MODULES.is_dir():
        print("node_modules is missing: run `npm ci --ignore-scripts`", file=sys.stderr)
        return 1
    lock, stale = [], []
    for package, name, content in built():
        path = TARGET / name
        if not path.is_file() or path.read_bytes() != content:
            stale.append(name)
            if not check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        lock.append({"file": name, **package, "sha256": hashlib.sha256(content).hexdigest()})
    text = json.dumps(lock, indent=1) + "\n"
    lock_file = TARGET / "vendor.lock.json"
    if not lock_file.is_file() or lock_file.read_text() != text:
        stale.append(lock_file.name)
        if not check:
            lock_file.write_text(text)
    for name in stale:
        print(f"{'differs' if check else 'written'}: static/vendor/{name}")
    return 1 if check and stale else 0


def built() -> Iterator[tuple[dict[str, str], str, bytes]]:
    """Every vendored file: its package's name, version and licence; its place; its bytes."""
    for package, files in FILES.items():
        facts = _package(package)
        for source, name in files:
            content = (MODULES / package / source).read_bytes()
            if name.endswith(".js"):
                # Hashed static files fail on a map that is named but not shipped.
                content = _SOURCE_MAP.sub(b"\n", content)
            yield facts, name, content
    facts = _package("lightweight-charts")
    for name, text in NOTICES.items():
        yield facts, name, text.encode()
    yield _package("lucide-static"), "lucide/sprite.svg", _sprite()


def _package(name: str) -> dict[str, str]:
    facts = json.loads((MODULES / name / "package.json").read_text())
    return {"package": name, "version": facts["version"], "licence": facts["license"]}


def _sprite() -> bytes:
    """The picked icons as symbols of one file; a page shows one with ``<use href="...#name">``."""
    symbols = []
    for name in ICONS:
        text = (MODULES / "lucide-static" / "icons" / f"{name}.svg").read_text()
        body = re.search(r"<svg[^>]*>(.*)</svg>", text, re.DOTALL)
        if body is None:
            raise SystemExit(f"icon {name} of lucide-static is not an SVG")
        inner = " ".join(body[1].split())
        symbols.append(f'<symbol id="{name}" viewBox="0 0 24 24">{inner}</symbol>')
    return (
        '<svg xmlns="http://www.w3.org/2000/svg">\n' + "\n".join(symbols) + "\n</svg>\n"
    ).encode()


if __name__ == "__main__":
    sys.exit(main())
