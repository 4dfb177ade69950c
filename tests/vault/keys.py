"""Keys made for a test, and numbers with a true check letter: none stands in a file."""

import base64
import os


def key():
    return base64.b64encode(os.urandom(32)).decode()


def number(series="S", digits="1234567"):
    weights = dict(zip(range(7), (2, 7, 6, 5, 4, 3, 2), strict=True))
    total = sum(int(d) * weights[i] for i, d in enumerate(digits)) + {"T": 4, "G": 4, "M": 3}.get(series, 0)
    letters = {"S": "JZIHGFEDCBA", "T": "JZIHGFEDCBA", "M": "XWUTRQPNJLK"}.get(series, "XWUTRQPNMLK")
    return f"{series}{digits}{letters[total % 11]}"
