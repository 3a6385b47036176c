"""The operations by which numbers are handed to other tools, for tests of every operation."""

from __future__ import annotations

from collections.abc import Mapping

from tests.support.operation import Operation

_RATE = {"from_currency": "USD", "to_currency": "EUR", "date": "2025-10-31", "rate": "0.9213"}

HANDOVER: Mapping[str, Operation] = {
    **dict.fromkeys(("listExchangeRates", "getExchangeRate"), Operation("read:costs")),
    "convertAmount": Operation(
        "read:costs", query="?amount=1.5&from_currency=USD&to_currency=EUR&date=2026-01-01"
    ),
    "createExchangeRate": Operation("write:pricing", ({**_RATE, "source": "ECB"},)),
    "importExchangeRates": Operation(
        "write:pricing",
        ({"csv": "from_currency,to_currency,date,rate,source\nUSD,GBP,2025-10-31,0.78,BoE"},),
    ),
    "makeJournal": Operation(
        "export:data",
        (
            {
                "period": "2025-11",
                "accounts": {
                    "debit_account": "6400",
                    "credit_account": "3300",
                    "cost_center": "CC-000",
                    "projects": {"web": {"debit_account": "6410"}},
                    "teams": {"search": {"cost_center": "CC-200"}},
                    "cost_centers": {"CC-200": {"debit_account": "6420"}},
                    "providers": {"openai": {"credit_account": "3310"}},
                },
                "posting_date": "2025-11-30",
                "document": "ACCR",
                "reverse": True,
            },
        ),
        also=("read:costs",),
    ),
    "deleteExchangeRate": Operation("write:pricing"),
}
