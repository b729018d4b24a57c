from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from jinja2 import UndefinedError
from PIL import Image

from head2toe.report import write_report
from head2toe.report.charts import accuracy_chart, kept_chart
from head2toe.report.html import kilobytes, value

VOID = {"meta", "img", "br", "rect", "path"}


def task(**changes):
    head = {"view": "512", "layer_weights": "learned", "fraction": 0.1, "head": "logistic", "unlabelled": 0}
    row = {**head, "strength": 0.01, "cv_accuracy": 0.91}
    other = {**row, "fraction": 1.0, "cv_accuracy": 0.8}
    joined = {**other, "strength": 0.1, "cv_accuracy": 0.79}  # not the strength that the table tells
    choice = {**row, "estimated_accuracy": 0.9, "averaged": [{"share": 0.5, **row}, {"share": 0.5, **joined}]}
    return {
        "title": "Digits",
        "source": "somewhere",
        "splits": {"Training": "300 images"},
        "samples": [np.arange(64, dtype=np.uint8).reshape(8, 8)],
        "results": [
            {
                "method": "Linear",
                "accuracy": 0.5,
                "standard_error": 0.02,
                "seconds": 1.0,
                "stored_bytes": 5e4,
                "lead": False,
            },
            {"method": "Head2Toe", "accuracy": 0.75, "seconds": 12.0, "stored_bytes": 1e5, "flops": 3e9, "lead": True},
        ],
        "search": {
            "cv_accuracy": 0.91,
            "linear_cv_accuracy": 0.8,
            "choice": choice,
            "table": [row, other, {**row, "head": "discriminant"}],
        },
        "kept": [{"layer": "blocks.0.act", "kept": 3, "total": 30}, {"layer": "head", "kept": 0, "total": 10}],
        **changes,
    }


def write(path, **changes):
    write_report(path, title="A title", lead="A lead.", tasks=[task(**changes)], facts={"Backbone": {"Name": "small"}})
    return path.read_text(encoding="utf-8")


class Balanced(HTMLParser):
    """Fails where a tag is not closed in its order; gathers text and the addresses a page would fetch."""

    def __init__(self):
        super().__init__()
        self.open, self.fetched, self.rows = [], [], 0

    def handle_starttag(self, tag, attrs):
        self.rows += tag == "tr"
        self.fetched += [v for k, v in attrs if k in ("src", "href", "srcset", "xlink:href") and v]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        assert tag in VOID

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_well_formed_and_self_contained(tmp_path):
    page = Balanced()
    text = write(tmp_path / "new" / "report.html")
    page.feed(text)
    assert page.open == []
    assert all(address.startswith(("#", "data:image/png;base64,")) for address in page.fetched)
    assert "<script" not in text
    assert "@import" not in text
    assert 'lang="en"' in text
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["report.html"]


def test_every_anchor_leads_somewhere(tmp_path):
    text = write(tmp_path / "report.html")
    targets = re.findall(r'href="#([^"]+)"', text)
    assert targets
    for target in targets:
        assert text.count(f'id="{target}"') == 1


def test_sample_images_survive(tmp_path):
    text = write(tmp_path / "report.html")
    (data,) = re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", text)
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    np.testing.assert_array_equal(pixels, task()["samples"][0])


def test_numbers_and_the_chosen_rows_are_shown(tmp_path):
    text = write(tmp_path / "report.html")
    for shown in ("50.0 ± 2.0", "75.0", "91.0 %", "not counted", "<td>3.0</td>"):
        assert shown in text
    assert text.count('class="chosen"') == 2


def test_names_cannot_break_the_page(tmp_path):
    evil = '<script>alert("x")</script>'
    kept = [{"layer": evil, "kept": 1, "total": 2}]
    results = [{"method": evil, "accuracy": 0.5, "seconds": 1, "stored_bytes": 1, "lead": False}]
    text = write(tmp_path / "report.html", title=evil, kept=kept, results=results)
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_a_report_that_fails_leaves_the_old_one(tmp_path):
    path = tmp_path / "report.html"
    before = write(path)
    with pytest.raises(UndefinedError):
        write(path, results=[{"method": "no accuracy"}])
    assert path.read_text(encoding="utf-8") == before
    assert list(tmp_path.iterdir()) == [path]


def test_parts_may_be_missing(tmp_path):
    write_report(tmp_path / "r.html", title="t", lead="l", tasks=[{"title": "only"}], facts={})
    assert "Overview" not in (tmp_path / "r.html").read_text(encoding="utf-8")


def widths(svg: str, kind: str, side: str) -> list[float]:
    return [float(w) for w in re.findall(rf'<rect class="{kind}"[^>]* {side}="([\d.]+)"', svg)]


def test_bars_are_as_long_as_accuracy():
    results = [{"method": str(a), "accuracy": a, "lead": False} for a in (0.0, 0.25, 0.5, 1.0)]
    none, quarter, half, full = widths(accuracy_chart(results), "bar", "width")
    assert none == 0
    assert [4 * quarter, 2 * half] == pytest.approx([full, full], abs=0.3)


def test_columns_are_as_high_as_counts():
    svg = kept_chart([{"layer": f"blocks.{i}.act", "kept": i, "total": 10} for i in range(4)])
    kept, total = widths(svg, "bar lead", "height"), widths(svg, "all", "height")
    np.testing.assert_allclose(kept, np.arange(4) / 10 * total[0], atol=0.1)
    assert "blocks.2.act: 2 of 10 features kept (20.0 %)" in svg


def test_short_numbers():
    assert [value(x) for x in (True, None, 0.123456, (0.5, 224), "text")] == [
        "yes",
        "none",
        "0.1235",
        "0.5, 224",
        "text",
    ]
    assert [kilobytes(x) for x in (500, 5400, 13_703_728)] == ["0.5", "5.4", "13,704"]
