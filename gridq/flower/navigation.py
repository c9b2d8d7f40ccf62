"""Flower's templates with one more entry in its navigation, and ours beside them; its own files stay as they are."""

from __future__ import annotations

from importlib.resources import files

from tornado.template import DictLoader

_ENTRY = """\
        <li class="nav-item">
          <a class="nav-link{% if active_tab == 'gpus' %} active{% end %}"
            href="{{ reverse_url('gpus') }}"
            {% if active_tab == 'gpus' %}aria-current="page"{% end %}>GPUs</a>
        </li>
"""


def loader() -> DictLoader:
    """Every template by name."""
    texts = _texts("flower") | _texts("gridq.flower")
    # The first list of the bar is that of the pages; the second has the theme and links to elsewhere.
    texts["navbar.html"] = texts["navbar.html"].replace("</ul>", f"{_ENTRY}      </ul>", 1)
    return DictLoader(texts)


def _texts(package: str) -> dict[str, str]:
    return {file.name: file.read_text("utf-8") for file in (files(package) / "templates").iterdir() if file.is_file()}
