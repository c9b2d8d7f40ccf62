"""Writes dashboards/*.json from fleet.py, gpu.py and tasks.py. With --check it only says which are not up to date.

python deploy/grafana/build.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import fleet
import gpu
import tasks

FOLDER = Path(__file__).parent / "dashboards"
PAGES = {"fleet": fleet.DASHBOARD, "gpu": gpu.DASHBOARD, "tasks": tasks.DASHBOARD}


def main() -> int:
    stale = []
    for name, page in PAGES.items():
        path, text = FOLDER / f"{name}.json", json.dumps(page.to_json(), indent=2, ensure_ascii=False) + "\n"
        if path.exists() and path.read_text("utf-8") == text:
            continue
        stale.append(path.name)
        if "--check" not in sys.argv:
            path.write_text(text, "utf-8")
    if "--check" in sys.argv and stale:
        print(f"expected dashboards as the sources have them, not so: {', '.join(stale)}", file=sys.stderr)
        print("hint: python deploy/grafana/build.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
