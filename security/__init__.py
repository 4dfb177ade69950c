"""Outside scanners against the demo (`make security`) and advisories about what we depend on (in `make lint`)."""
