"""The operations by which numbers are handed to other tools, for tests of every operation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.support.operation import Operation

_RATE = {"from_currency": "USD", "to_currency": "EUR", "date": "2025-10-31", "rate": "0.9213"}

CHARGES: Sequence[Mapping[str, object]] = (
    {
        "kind": "commitment",
        "provider": "openai",
        "name": "Credits of autumn",
        "currency": "USD",
        "amount": "900",
        "start_date": "2025-10-01",
        "end_date": "2026-09-30",
        "granted": 1000,
        "type": "Prepaid Credits",
        "virtual_currency": "Credits",
        "virtual_units": 100,
        "contract_id": "C-7",
        "invoice_id": "INV-1",
        "invoice_issuer": "A Marketplace",
    },
    {
        "kind": "purchase",
        "provider": "openai",
        "name": "Seats",
        "currency": "USD",
        "amount": 75,
        "start_date": "2025-11-01",
        "end_date": "2025-11-30",
        "quantity": 3,
        "unit": "Seats",
        "frequency": "recurring",
    },
    {
        "kind": "credit",
        "provider": "openai",
        "name": "Goodwill",
        "currency": "USD",
        "amount": "12.5",
        "start_date": "2025-11-02",
    },
)

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
    **dict.fromkeys(("listCharges", "getCharge"), Operation("read:costs")),
    "createCharge": Operation("write:budgets", tuple(CHARGES)),
    "deleteCharge": Operation("write:budgets"),
}
