"""FOCUS: calls as rows of the FinOps Open Cost and Usage Specification, versions 1.2 to 1.4."""
