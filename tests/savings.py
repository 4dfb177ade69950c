"""What thousands of tests would pay for again and again."""

import gc

from django.contrib.auth.hashers import PBKDF2PasswordHasher
from whitenoise.middleware import WhiteNoiseMiddleware


def hash_passwords_quickly() -> None:
    PBKDF2PasswordHasher.iterations = 1


def look_for_static_files_once() -> None:
    """Not for each client, which loads the middleware anew."""
    look, found = WhiteNoiseMiddleware.add_files_from_finders, {}

    def add(middleware: WhiteNoiseMiddleware) -> None:
        if not found:
            look(middleware)
            found.update(middleware.files)
        middleware.files |= found

    WhiteNoiseMiddleware.add_files_from_finders = add


def leave_what_stays_to_itself() -> None:
    """The garbage collector need not look through modules and collected tests again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
