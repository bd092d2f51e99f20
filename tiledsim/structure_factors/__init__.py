"""Tables of structure factors, from files to the P1 table of a scene."""
