"""Who can log in with the demo's Singpass. `patient` is the number of an invented patient whose record is linked."""

from typing import Any

SUB = "c1b0a6f2-5d1e-4c0a-9a39-2f6f7f1e00{:02d}"

PERSONAS: list[dict[str, Any]] = [
    {
        "sub": SUB.format(1),
        "label": "Maryam binte Hassan",
        "note": "has a record here, linked to Singpass",
        "patient": 2,
    },
    {
        "sub": SUB.format(2),
        "label": "Karthik s/o Pillai",
        "note": "has a record here, linked to Singpass",
        "patient": 3,
    },
    {"sub": SUB.format(3), "label": "Somebody new", "note": "logs in for the first time", "patient": None},
    {
        "sub": SUB.format(4),
        "label": "Somebody from abroad",
        "note": "a foreign account, logs in for the first time",
        "foreign": True,
        "patient": None,
    },
]
