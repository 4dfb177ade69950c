"""Legal holds, the erasure of patients, incidents and the pages of the privacy office (docs/retention.md)."""
