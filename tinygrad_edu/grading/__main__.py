"""``python -m tinygrad_edu.grading PATH...``: grade a file, or a class, from the terminal."""

import sys

from tinygrad_edu.grading.command import main

if __name__ == "__main__":
    sys.exit(main())
