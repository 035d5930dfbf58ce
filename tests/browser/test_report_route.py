"""A report in Chromium: shown by the lab in a sandbox, from which nothing runs and nothing is asked."""

import json
from pathlib import Path

import pytest

from core.report.html import html_page
from core.report.phrases import number_row, paragraph
from core.report.settings import SECTIONS
from core.report.structure import Number, Report, Section, Table

ROOT = Path(__file__).resolve().parents[2]
REPORT = "20260102-000000-report-abcd"
HOSTILE = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"


@pytest.fixture
def saved_reports(tmp_path):
    """A folder of reports that holds one."""
    folder = tmp_path / "reports" / REPORT
    folder.mkdir(parents=True)
    values = [Number(f"{path}.0", float(path), "x:/y") for path in range(8)]
    table = Table(
        "t",
        (HOSTILE,),
        ("run", *(f"a long name {place}" for place in range(8))),
        (number_row(HOSTILE, values, "high"),),
    )
    report = Report(HOSTILE, "A. Student", "", 0.0, (Section("a", "A part", (paragraph("Words. " * 80), table)),))
    (folder / "report.html").write_text(
        html_page(report).replace("</main>", "<script>document.title='taken'</script></main>")
    )
    (folder / "report.zip").write_bytes(b"PK")
    settings = {"runs": ["x"], "sections": list(SECTIONS)}
    metadata = {"title": "One", "made": 1.0, "settings": settings, "notes": []}
    (folder / "report.json").write_text(json.dumps(metadata))
    return folder.parent


def test_the_route_shows_a_report_shut_off(saved_reports, serve_app, page, tmp_path) -> None:
    url = serve_app(
        ROOT / "app" / "main.py", {"SEGLAB_REPORTS": str(saved_reports), "SEGLAB_CHECKPOINTS": str(tmp_path / "runs")}
    )
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    response = page.goto(f"{url}/lab/report/{REPORT}")
    policy = response.headers["content-security-policy"]
    assert response.status == 200 and policy.startswith("sandbox") and "allow-scripts" not in policy
    assert "allow-same-origin" not in policy and response.headers["x-content-type-options"] == "nosniff"
    assert page.title() == HOSTILE and page.locator("h2").inner_text() == "A part"
    assert [address for address in requests if not address.startswith("data:")] == [f"{url}/lab/report/{REPORT}"]
    for width in (390, 1440):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.goto(f"{url}/lab/report/20260102-000000-report-ffff").status == 404
    for wrong in (
        "..%2f..%2frequirements.txt",
        f"{REPORT}%2freport.json",
    ):  # no route at all: Streamlit answers with its page
        content = page.goto(f"{url}/lab/report/{wrong}").text()
        assert "torchvision" not in content and '"made"' not in content
