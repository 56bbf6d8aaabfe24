"""What the measurement of search rests on: questions that have one answer, and places counted right."""

import pytest

from bench.search.corpus import Section, questions, sections_in
from bench.search.quality import goals, line_of, place_of

PAGE = b"""<html><head><title>Manual</title><style>p {}</style></head><body>
<div class="navheader"><a href="x">Next</a></div>
<p>Before any heading.</p>
<h1>1.2. Tables<a class="headerlink" href="#t">\xc2\xb6</a></h1>
<p>A <code>table</code> has <b>rows</b>.</p><pre>Tables
CREATE TABLE t;</pre>
<div class="section"><h2><span>Dropping</span> them</h2><p>Use DROP.</p><script>1</script>after it</div>
<h2>Empty</h2><h2>Last</h2>the end</body></html>"""


def test_a_page_is_cut_at_its_headings_which_are_in_no_text():
    assert [*sections_in(PAGE)] == [
        Section("Tables", "A table has rows.\n\nCREATE TABLE t;"),
        Section("Dropping them", "Use DROP.\nafter it"),
        Section("Last", "the end"),
    ]


def test_only_what_has_one_answer_is_asked():
    long = "word " * 40
    sections = [
        Section("Introduction", long),
        Section("Locks", long),
        Section("introduction", long),
        Section("Short", "a few words"),
        Section("many " * 30, long),
        Section("Indexes", long),
    ]
    assert questions(sections) == [1, 5]


def test_a_file_counts_once_and_places_from_one():
    assert place_of("b", ["a", "a", "b", "a"]) == 2
    assert place_of("c", ["a", "b"]) is None


def test_the_numbers_are_shares_of_all_questions():
    line = line_of("manual", "SQLite", "fused", [1, 2, 7, None])
    assert (line.recall_1, line.recall_5, line.recall_10) == (0.25, 0.5, 0.75)
    assert line.mrr == pytest.approx((1 + 1 / 2 + 1 / 7) / 4, abs=1e-4)
    assert line.questions == 4


def test_fusion_has_to_be_better_by_every_number():
    found: dict[str, list[int | None]] = {
        "words": [1, 2, None, 9],
        "meaning": [None, 1, 1, 12],
        "fused": [1, 1, 1, 12],
    }
    lines = [line_of("manual", "SQLite", ranking, places) for ranking, places in found.items()]
    [goal] = goals(lines)
    assert (goal.value, goal.met) == (1.0, False)
