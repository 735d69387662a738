"""A test that cannot run here says why, and CTest counts it as skipped."""
import sys

CTEST_SKIPPED = 77


def unless(possible, why):
    if not possible:
        print(f"skipped: {why}")
        sys.exit(CTEST_SKIPPED)
