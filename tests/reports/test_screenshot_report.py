import importlib.util
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from levertune.reports.page import write_report

SCRIPT = Path(__file__).parents[2] / "scripts" / "screenshot_report.py"


@pytest.fixture(scope="module")
def screenshots():
    spec = importlib.util.spec_from_file_location("screenshot_report", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    require_browser(module)
    return module


def require_browser(module):
    """Skip without a browser, or fail where LEVERTUNE_REQUIRE_BROWSER=1 asks for one."""
    if module.find_browser() is not None:
        return
    if os.environ.get("LEVERTUNE_REQUIRE_BROWSER") == "1":
        pytest.fail("no Chromium on this machine, and LEVERTUNE_REQUIRE_BROWSER=1")
    pytest.skip("no Chromium on this machine")


def test_a_browser_can_be_required(monkeypatch):
    without, there = (SimpleNamespace(find_browser=lambda found=f: found) for f in (None, "/b"))
    monkeypatch.delenv("LEVERTUNE_REQUIRE_BROWSER", raising=False)
    with pytest.raises(pytest.skip.Exception):
        require_browser(without)
    monkeypatch.setenv("LEVERTUNE_REQUIRE_BROWSER", "1")
    with pytest.raises(pytest.fail.Exception, match="LEVERTUNE_REQUIRE_BROWSER=1"):
        require_browser(without)
    require_browser(there)


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_the_window_and_its_script_runs(demo_run, screenshots, width):
    page = write_report(demo_run(num_rows=30))
    needed, height = screenshots.measure_page(page, width)
    assert needed <= width
    assert height > 3000
    # without its script all 30 rows would be shown, a page of 20 and a button with it
    without = page.with_name("no-script.html")
    without.write_text(page.read_text("utf-8").replace("(() =>", "(function"), encoding="utf-8")
    assert screenshots.measure_page(without, width)[1] > height + 500


@pytest.mark.slow
def test_pictures_are_taken_at_both_widths_and_schemes(demo_run, screenshots, tmp_path):
    pictures = screenshots.take_screenshots(write_report(demo_run(num_rows=4)), tmp_path / "out")
    assert [p.name for p in pictures] == [
        f"report-{name}-{scheme}.png"
        for name in ("phone", "desktop")
        for scheme in ("light", "dark")
    ]
    assert all(p.stat().st_size > 20_000 for p in pictures)
