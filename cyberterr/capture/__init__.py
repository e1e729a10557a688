"""Sources: captures, live interfaces, flow logs, become packets or tables."""
