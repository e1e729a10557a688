"""People decide: triage, decisions, suppressions."""
