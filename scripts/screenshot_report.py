"""Take pictures of a report page at phone and desktop width, light and dark.

    python scripts/screenshot_report.py runs/NAME/report.html OUT_DIR

Needs Chromium (`apt-get install chromium`). The pictures are for looking at before a change to the
page is committed; nothing else reads them.
"""

from __future__ import annotations

import argparse
import html
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WIDTHS = {"phone": 390, "desktop": 1280}
MAX_HEIGHT = 14_000
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--virtual-time-budget=3000",
)

# The page stands in a frame because a window narrower than 500 pixels is widened by Chromium; the
# frame keeps its width, and being same-origin (`srcdoc`) its height can be read.
_FRAME = """<!DOCTYPE html><meta charset="utf-8"><style>body{{margin:0}}</style>
<iframe style="border:0;display:block;width:{width}px;height:{height}px" srcdoc="{page}"></iframe>
<p id="size"></p><script>
document.querySelector("iframe").addEventListener("load", (event) => {{
  const root = event.target.contentDocument.documentElement;
  document.getElementById("size").textContent = `${{root.scrollWidth}}x${{root.scrollHeight}}`;
}});
</script>"""


def find_browser() -> str | None:
    """Path of an installed Chromium, or None."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def measure_page(page: Path, width: int) -> tuple[int, int]:
    """Width and height the page's content takes in a window of `width` pixels."""
    shown = _browse(page, width, 800, "--dump-dom")
    size = re.search(r'id="size">(\d+)x(\d+)<', shown)
    if size is None:
        raise SystemExit(f"{page}: the browser did not say how large the page is.")
    return int(size[1]), int(size[2])


def take_screenshots(page: Path, out_dir: Path) -> list[Path]:
    """Write one picture a width and colour scheme; return their paths."""
    out_dir.mkdir(parents=True, exist_ok=True)
    pictures = []
    for name, width in WIDTHS.items():
        needed, height = measure_page(page, width)
        if needed > width:
            print(f"{page.name}: content is {needed} pixels wide in a window of {width}")
        for scheme in ("light", "dark"):
            picture = out_dir / f"{page.stem}-{name}-{scheme}.png"
            _browse(
                page,
                width,
                min(height, MAX_HEIGHT),
                f"--screenshot={picture.resolve()}",
                # 0 is dark, 1 is light
                f"--blink-settings=preferredColorScheme={int(scheme == 'light')}",
            )
            pictures.append(picture)
    return pictures


def _browse(page: Path, width: int, height: int, *arguments: str) -> str:
    browser = find_browser()
    if browser is None:
        raise SystemExit("no Chromium found; install it: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder:
        frame = Path(folder) / "frame.html"
        source = html.escape(page.read_text(encoding="utf-8"))
        frame.write_text(_FRAME.format(width=width, height=height, page=source), encoding="utf-8")
        done = subprocess.run(
            [browser, *FLAGS, f"--user-data-dir={folder}/profile",
             f"--window-size={width},{height}", *arguments, frame.as_uri()],
            capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
    return done.stdout


def main() -> None:
    """Take the pictures of the page named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("page", type=Path)
    parser.add_argument("out_dir", type=Path)
    arguments = parser.parse_args()
    for picture in take_screenshots(arguments.page, arguments.out_dir):
        print(picture)


if __name__ == "__main__":
    main()
