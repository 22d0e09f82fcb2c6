"""Try the commands that the README gives to people without ``make``, as plain commands.

    python tools/readme_commands.py demo      # or test

They are written for Windows; elsewhere ``.venv\\Scripts`` is called ``.venv/bin`` and ``py`` is
``python3``, as the README says.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def lines() -> dict[str, str]:
    """The README's command lines without make: name of the make target -> line."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"```bat\n(.*?)```", text, flags=re.DOTALL)
    if block is None:
        raise SystemExit("README.md has no ```bat block with the commands for Windows")
    demo, test = block.group(1).strip().splitlines()
    return {"demo": demo, "test": test}


def on_this_system(line: str) -> str:
    """The line as one types it here."""
    if os.name == "nt":
        return line
    return re.sub(r"\bpy\b(?= -m venv)", "python3", line).replace(".venv\\Scripts\\", ".venv/bin/")


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in lines():
        raise SystemExit(__doc__)
    command = on_this_system(lines()[sys.argv[1]])
    print(f"$ {command}", flush=True)
    sys.exit(subprocess.run(command, shell=True, cwd=ROOT).returncode)
