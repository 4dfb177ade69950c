"""Matching: planned sessions get times. One request (`autofill`) or the whole backlog (`match_requests`).

The plan is made in memory from what is free and written by `booking.place_sessions`, under the locks of the slots. What
was taken meanwhile is planned anew in the next round, never overwritten.
"""

from scheduling.matching.backlog import Report, match_requests
from scheduling.matching.single import LEAD, AutofillResult, autofill

__all__ = ["LEAD", "AutofillResult", "Report", "autofill", "match_requests"]
