"""Finds a Chromium for the browser tests; `python -m tests.chromium` tries to install one."""

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MISSING = "no Chromium: install it, set CHROMIUM to its path, or run `python -m playwright install chromium`"
# Playwright's own, which this list replaces; and the popup under the address bar, a page beside every page.
WITHOUT = [
    *("AvoidUnnecessaryBeforeUnloadCheckSync", "DestroyProfileOnBrowserClose", "HttpsUpgrades"),
    *("HttpsFirstBalancedModeAutoEnable", "LensOverlay", "MediaRouter", "PaintHolding", "OptimizationHints"),
    *("ThirdPartyStoragePartitioning", "AvoidCorsURLLoaderRestartOnRedirect", "PreconnectToSearch"),
    *("NetworkTimeServiceQuerying", "AimEnabled"),
    *("WebUIOmniboxPopup", "WebUIOmniboxFullPopup", "WebUIOmniboxAimPopup", "PreloadTopChromeWebUI"),
]
FLAGS = [
    f"--disable-features={','.join(WITHOUT)}",
    "--disable-site-isolation-trials",  # all that is shown comes from one machine: no new process for each page
    "--in-process-gpu",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def of_the_system() -> str | None:
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


def of_playwright() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if os.path.exists(path) else None


def main() -> None:
    if of_the_system() or of_playwright():
        return
    command = [sys.executable, "-m", "playwright", "install", "chromium"]
    try:
        failed = subprocess.run(command, timeout=300, capture_output=True).returncode
    except subprocess.TimeoutExpired:
        failed = True
    if failed:
        sys.stderr.write(f"The browser tests have {MISSING}.\n")


if __name__ == "__main__":
    main()
