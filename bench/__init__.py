"""Speed beside its limits and its peers, as ratios in one run; see docs/performance.md."""
