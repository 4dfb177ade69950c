"""`make test`: everything but the browser on both cores, then the browser journeys, in processes of their own."""

import subprocess
import sys

from tests import chromium

NO_TESTS = 5
BOTH_CORES = ["-n", "2", "--dist", "worksteal"]


def main() -> int:
    chosen = sys.argv[1:]
    pytest = [sys.executable, "-m", "pytest"]
    codes = [subprocess.call([*pytest, *BOTH_CORES, "-m", "not e2e", *chosen])]
    if codes[0] != 2:  # interrupted
        chromium.main()
        codes.append(subprocess.call([*pytest, *BOTH_CORES, "-m", "e2e", *(chosen or ["tests/e2e"])]))
    ran = [code for code in codes if code != NO_TESTS]
    # A part without tests is no failure, but both without any is: the choice matched nothing.
    return max(ran, key=abs) if ran else NO_TESTS


if __name__ == "__main__":
    sys.exit(main())
