"""Packets become bidirectional flows, in bounded memory; and what layer 7 adds."""
