"""Static files straight from `node_modules`, only those that settings.NPM_STATICFILES lists."""

from collections.abc import Iterable, Iterator
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.finders import BaseFinder
from django.core.checks import CheckMessage, Warning
from django.core.files.storage import FileSystemStorage


class NpmFinder(BaseFinder):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.storages: dict[str, FileSystemStorage] = {}
        for package in settings.NPM_STATICFILES:
            storage = FileSystemStorage(location=settings.NODE_MODULES / package)
            storage.prefix = f"vendor/{package}"  # type: ignore[attr-defined]  # as AppDirectoriesFinder does
            self.storages[package] = storage
        super().__init__(*args, **kwargs)

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        missing = [
            f"{package}/{name}"
            for package, storage in self.storages.items()
            for name in settings.NPM_STATICFILES[package]
            if not storage.exists(name)
        ]
        # An error would also stop `migrate` on a machine that serves no pages.
        text = "{} is not in node_modules."
        return [Warning(text.format(name), hint="Run `npm ci`.", id="npm.W001") for name in missing]

    def find(self, path: str, find_all: bool = False, **kwargs: Any) -> Any:
        for package, storage in self.storages.items():
            name = path.removeprefix(f"vendor/{package}/")
            if name in settings.NPM_STATICFILES[package] and name != path and storage.exists(name):
                return [storage.path(name)] if find_all else storage.path(name)
        return []

    def list(self, ignore_patterns: Iterable[str] | None) -> Iterator[tuple[str, Any]]:
        for package, storage in self.storages.items():
            for name in settings.NPM_STATICFILES[package]:
                if storage.exists(name):
                    yield name, storage
