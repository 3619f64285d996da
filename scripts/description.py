"""The description of the API as a file: what a reader of the tree, and a generator of clients, starts from.

scripts/openapi            writes service/api/openapi.json
scripts/openapi --check    exit code 1 where the file is not what the application says of itself
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from service.api.app import create_app
from service.bootstrap import open_context
from service.settings import Settings

FILE = Path(__file__).parent.parent / "service" / "api" / "openapi.json"


def described() -> str:
    """What the application says of itself, as the file has it."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), encoder="pixel")
        with open_context(settings) as context:
            description = create_app(context, settings).openapi()
    return json.dumps(description, indent=1, ensure_ascii=False, sort_keys=False) + "\n"


def main() -> int:
    """Exit code."""
    parser = argparse.ArgumentParser(
        prog="scripts/openapi", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing")
    given = parser.parse_args()
    text = described()
    same = FILE.exists() and FILE.read_text(encoding="utf-8") == text
    if given.check:
        print(f"{FILE} is {'up to date' if same else 'not what the application says: run scripts/openapi'}")
        return 0 if same else 1
    FILE.write_text(text, encoding="utf-8")
    print(f"{FILE}: {len(json.loads(text)['paths'])} paths{'' if same else ', changed'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
