"""`python -m headrace`, and where the console script begins."""

from __future__ import annotations

from headrace.cli import main

if __name__ == "__main__":
    main()
