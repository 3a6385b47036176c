"""Forecasts of a dated series: a model, its back-test on the series itself, calibrated intervals.

Imports `core` and, for `auto` only and only when it is asked for, the library of the extra
`forecast`.
"""
