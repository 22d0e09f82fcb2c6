"""Run a command as on a machine that has Python, make, and nothing else that this package can use.

    python tools/fresh_machine.py make test

Hidden are Graphviz's programs, browsers, the home folder with its caches, and, where the system
lets us (Linux, as root), all fonts. What the command leaves in its home folder goes with it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HIDDEN = re.compile(r"(dot|neato|twopi|circo|s?fdp|chrom(e|ium).*|google-chrome.*)(\.exe)?")
FONTS = [Path("/usr/share/fonts"), Path("/usr/local/share/fonts")]


def programs_but_hidden(place: Path) -> Path:
    """Fill a folder with links to all programs on the PATH but the hidden ones."""
    place.mkdir()
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        for program in Path(folder).iterdir() if Path(folder).is_dir() else ():
            link = place / program.name
            if not HIDDEN.fullmatch(program.name) and not link.is_symlink():
                link.symlink_to(program)
    return place


def without_fonts(command: list[str]) -> list[str]:
    """Wrap ``command`` in a mount namespace with empty font folders; as it is where that fails."""
    folders = [str(folder) for folder in FONTS if folder.is_dir()]
    unshare = shutil.which("unshare")
    if not folders or unshare is None:
        return command
    mounts = " && ".join(f"mount -t tmpfs none {folder}" for folder in folders)
    tried = subprocess.run([unshare, "-m", "sh", "-c", mounts], capture_output=True)
    if tried.returncode != 0:
        print("fresh_machine: the fonts cannot be hidden here", file=sys.stderr)
        return command
    return [unshare, "-m", "sh", "-c", f'{mounts} && exec "$@"', "sh", *command]


def main() -> int:
    """Run the command that the arguments are; return its exit code."""
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="fresh-machine-") as name:
        place = Path(name)
        (place / "home").mkdir()
        environment = {
            key: value
            for key, value in os.environ.items()
            if key not in ("CHROMIUM", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "VIRTUAL_ENV")
        }
        environment["HOME"] = str(place / "home")
        environment["PATH"] = str(programs_but_hidden(place / "bin"))
        return subprocess.run(without_fonts(sys.argv[1:]), env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
