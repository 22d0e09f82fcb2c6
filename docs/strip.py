"""Film the step-through page for the README: ``python -m docs.strip``.

The real page of the notes' Figure 2, opened in Chromium (the one on the PATH, or ``CHROMIUM``) and
stepped through with the arrow key; what is seen becomes ``docs/figures/step_through.webp``, an
animation, and ``step_through.png``, its picture at the junction. Needs ``pip install playwright
pillow``.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from docs.figures import FOLDER, figure_2
from tinygrad_edu._files import write_atomically
from tinygrad_edu.drawing import step_through

SIZE = {"width": 1100, "height": 660}
JUNCTION = 11  # the step at which the two terms of x have arrived
PAUSES = {0: 1500, JUNCTION - 1: 1800, JUNCTION: 2500}  # milliseconds; others as below
PAUSE, LAST_PAUSE = 900, 2500


def film(path: Path) -> Iterator[bytes]:
    """Yield a PNG of the page at each of its steps."""
    from playwright.sync_api import sync_playwright

    browser = (
        os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    )
    if browser is None:
        sys.exit("docs.strip: no Chromium on the PATH; install it or set CHROMIUM")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=browser, args=arguments)
        page = running.new_page(viewport=SIZE, reduced_motion="reduce", color_scheme="light")
        page.goto(path.as_uri())
        steps = int(page.get_attribute("#scrub", "max"))
        for step in range(steps + 1):
            yield page.screenshot()
            if step < steps:
                page.keyboard.press("ArrowRight")
        running.close()


def main() -> None:
    """Write the animation and the still."""
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        step_through(figure_2()).save(page)
        shots = list(film(page))
    images = [Image.open(io.BytesIO(shot)).convert("RGB") for shot in shots]
    pauses = [PAUSES.get(step, PAUSE) for step in range(len(images))]
    pauses[-1] = LAST_PAUSE
    animation = io.BytesIO()
    images[0].save(
        animation, "WEBP", save_all=True, append_images=images[1:], duration=pauses, loop=0,
        lossless=True, method=6,
    )  # fmt: skip
    FOLDER.mkdir(exist_ok=True)
    for name, content in (
        ("step_through.webp", animation.getvalue()),
        ("step_through.png", shots[JUNCTION]),
    ):
        write_atomically(FOLDER / name, content)
        print(f"{os.path.relpath(FOLDER / name)}: {len(content) / 1024:.0f} KB")


if __name__ == "__main__":
    main()
