"""House rules that no ready-made linter knows. Run with `python -m tools.lint` from the root.

One rule per module; its docstring names the failure it prevents. A rule is silenced on one line by
`# lint: allow <rule>: <reason>` on that line or the one above; without a reason it stays loud.
"""
