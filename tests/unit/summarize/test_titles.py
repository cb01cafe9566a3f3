"""What a document is called in a report."""

from __future__ import annotations

import pytest

from lorayard.summarize.document import title_of


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("# Bees\n\nThey fly.\n", "Bees"),
        ("Bees\n====\n\nThey fly.\n", "Bees"),
        ("---\ntitle: npm-bugs\nsection: 1\ndescription: Report bugs\n---\n\n### Synopsis\n", "npm-bugs"),
        ("---\ntitle: 'Bees: a tale'\n---\n\n# Other\n", "Bees: a tale"),
        ('---\ntitle: "Bees"\n---\n', "Bees"),
        ("---\nlayout: docs\ndescription: Report bugs\n---\n\n# Bees\n", "Bees"),
        ("---\nlayout: docs\ndescription: Report bugs\n---\n\nThey fly.\n", None),
        ("---\ntitle:\n---\n\n# Bees\n", "Bees"),
        ("They fly.\n", None),
    ],
)
def test_a_title_is_that_of_the_front_matter_or_the_first_heading__e6(text: str, title: str | None) -> None:
    assert title_of(text) == title
