"""The operations by which numbers are handed to other tools, for tests of every operation."""

from __future__ import annotations

from collections.abc import Mapping

from tests.support.operation import Operation

_RATE = {"from_currency": "USD", "to_currency": "EUR", "date": "2025-10-31", "rate": "0.9213"}

HANDOVER: Mapping[str, Operation] = {
    **dict.fromkeys(
        ("listExchangeRates", "getExchangeRate", "convertAmount"), Operation("read:costs")
    ),
    "createExchangeRate": Operation("write:pricing", ({**_RATE, "source": "ECB"},)),
    "importExchangeRates": Operation(
        "write:pricing",
        ({"csv": "from_currency,to_currency,date,rate,source\nUSD,GBP,2025-10-31,0.78,BoE"},),
    ),
    "deleteExchangeRate": Operation("write:pricing"),
}
