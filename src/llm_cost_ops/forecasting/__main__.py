"""Forecasts for another process of this package: pickled `Ask`s on standard input; on standard
output pickled forecasts or the error that refuses them. Exit code 3: no library is installed; 4: no
memory is left."""

from __future__ import annotations

import pickle
import sys

from llm_cost_ops.core.errors import DomainError
from llm_cost_ops.forecasting.asks import NO_LIBRARY, NO_MEMORY, Ask, Outcome, made_of


def main() -> int:
    """The exit code."""
    out, sys.stdout = sys.stdout.buffer, sys.stderr  # what a library prints is no answer
    asked: list[Ask] = pickle.load(sys.stdin.buffer)  # noqa: S301 - our own parent wrote it  # nosec B301
    answer: list[Outcome] | DomainError
    try:
        answer = [made_of(each) for each in asked]
    except DomainError as error:
        answer = error
    except ModuleNotFoundError:
        return NO_LIBRARY
    except MemoryError:
        return NO_MEMORY
    out.write(pickle.dumps(answer))
    out.flush()  # nothing else is sure to: at the end the interpreter flushes what stdout is then
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
