import os
from pathlib import Path

import pytest

from tests import chromium


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args, playwright):
    if system := chromium.of_the_system():
        return {**browser_type_launch_args, "executable_path": system, "args": chromium.FLAGS}
    if Path(playwright.chromium.executable_path).exists():
        return {**browser_type_launch_args, "args": chromium.FLAGS}
    if os.environ.get("CI") == "true":
        pytest.fail(chromium.MISSING, pytrace=False)
    pytest.skip(chromium.MISSING)
